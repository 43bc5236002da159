"""Tokens of sources: what a team sends to a host for files that are not for everybody. Write-only.

tables.py      the table: encrypted, one row for each host of a team
operations.py  list, set, delete; read for requests
routes.py      ``/source-tokens``, for admins
"""
