"""Registration of uploads as models: presign, load what is needed, decide, and apply in one transaction."""
