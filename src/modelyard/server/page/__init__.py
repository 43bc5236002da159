"""The web page: its built files and how they are served. The page uses the public API only.

built/index.html      served for every path of the page, whose router tells them apart
built/assets/...      scripts and styles, whose names contain a hash of their contents
"""
