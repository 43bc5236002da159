"""Garbage collection: old trash, uploads that were never registered, stored objects that nothing references.

collection.py    a complete run, step by step
run.py           the options, the result and the shared state of a run
expired_rows.py  models and uploads that have expired
unused_blobs.py  blobs that no model or upload references
unused_previews.py  pictures that no version shows
removal.py       removes stored objects that a row marks as discarded
store_scan.py    compares the whole store with the database

Rows go before objects, and a row of ``discarded`` marks an object as unreferenced: a crash in between leaves the object
and that row, which the next run finds, never a model without its object. An object without any row is kept and logged.
"""
