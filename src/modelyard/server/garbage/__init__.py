"""Garbage collection: old trash, uploads that were never registered, stored objects that nothing references.

collection.py         a complete run, step by step
run_state.py          the options, the result and the shared state of a run
expired_rows.py       models and uploads that have expired
model_trash.py        which models those are
expired_versions.py   versions that have expired
version_retention.py  which versions those are
unused_blobs.py       blobs that no version or upload references
expected_blobs.py     blobs that no version would reference after a real run, for a dry one
unused_previews.py    pictures that no version shows
removal.py            removes stored objects that a row marks as discarded
store_scan.py         compares the whole store with the database

Each step reads pages of rows by an index, and works on each page team by team: what one team has, or fails at, does not
keep the garbage of the others. The size of a statement does not depend on how many teams, settings or versions there
are, and the cost of a run grows with the number of rows, not with its square.

Rows go before objects, and a row of ``discarded`` marks an object as unreferenced: a crash in between leaves the object
and that row, which the next run finds, never a model without its object. An object without any row is kept and logged.
"""
