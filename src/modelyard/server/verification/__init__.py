"""Reading every byte before anybody may have it, and again before it has had much time to rot.

leasing.py    which blob is read next, by whom, until when
finding.py    what the bytes are: the digests, the checks of the content, a copy where the store could be written over
settling.py   what was found, written down: the blob, its models, the audit trail
worker.py     the threads that verify what arrives
scrubbing.py  the slow second reading of what is verified
gauges.py     how much waits, how much has failed
"""
