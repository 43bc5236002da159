"""Imports: models that the registry downloads from Hugging Face, Civitai or any https address.

sources/          what a link means, and what the source says about it
callers.py        who started an import, with the permissions of now
import_leases.py  which import runs next, by which worker, until when
downloads/        how a file comes into the parts of an upload, by ranges
runs/             runs of imports, in threads of the worker
imported_files.py which models have the content of which files at Hugging Face
conversions.py    conversions of pickle files, which run as imports
source_checks.py     newer versions of a model at its source
source_check_runs.py checks of all models of a team
operations.py     drafts of links; start, list, cancel, retry
"""
