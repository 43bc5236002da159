"""The web page: its built files, and the policy under which a browser runs them. It uses the public API only.

built/index.html      asked for with every address of the page, which the page itself tells apart
built/assets/...      scripts and styles; their names change with their contents
"""
