"""Downloads: how a source's file comes into the parts of an upload, by ranges.

download.py          a file whose size is known
unsized_download.py  a file whose source does not say its size: the upload grows
unfinished_parts.py  the bytes of interrupted downloads that are not a whole part yet
"""
