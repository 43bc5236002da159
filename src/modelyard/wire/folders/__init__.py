"""Models of many files: which files a folder may have, its canonical manifest, and the API's schemas.

names.py     which names a file inside a folder may have, and how its content is checked
manifest.py  the canonical manifest, whose hash is the content hash of the folder
schemas.py   the API's schemas
"""
