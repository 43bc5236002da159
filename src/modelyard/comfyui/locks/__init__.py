"""Lock files: lists of model files with the SHA-256 of each. Nothing here opens a file or makes a request.

locked_models.py  a locked model; the exception for documents that cannot be read
documents.py      YAML and JSON of untrusted origin
reading.py        ``read_lock``: the models of a lock file in either format
writing.py        ``write_lock``: a ``comfy-lock.yaml`` with other models and all else as it was
"""
