"""Verification: every byte is read before a model is served, and verified content is re-read regularly (scrub).

blob_leases.py      which blob is examined next, by which worker, until when
examine.py          digests and content checks of one stored object
record_result.py    writes the result: the blob, its models, the audit trail
worker.py           the threads that verify new uploads
scrub.py            periodic re-verification, and re-verification of objects that changed
content_hashes.py   the hashes by which other tools name model files
hash_completion.py  computes those that verification does not, at a limited rate
metrics.py          how many files wait, how many have failed
"""
