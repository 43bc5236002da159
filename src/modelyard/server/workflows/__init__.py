"""Workflow checks: which models a ComfyUI workflow names, what the team has of them, where the workflow can run.

request_reading.py  receives the file and finds its references, large files in a sandbox
matching.py         decides for each reference what the team has for it (pure)
readiness.py        decides for each machine whether it can run the workflow (pure)
loading.py          loads what both decisions need
operations.py       the check: load, decide, build the answer
"""
