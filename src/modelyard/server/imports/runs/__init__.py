"""Runs of imports: from the lease of one to its model, or to the failure that is recorded with it.

importer.py      the threads that lease and run imports
import_run.py    what one run needs
progress.py      what a run records while it brings bytes, and whether it goes on
content.py       brings the content into the store: downloads or converts it, and checks its hash
registration.py  registers the content as a model, and records the end of the import
failures.py      records what failed: the import is tried again, or has failed for good
"""
