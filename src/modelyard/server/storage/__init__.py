"""Blob storage: the store interface (``blob_store``), its implementations (``local``, ``s3``) and their wrappers."""
