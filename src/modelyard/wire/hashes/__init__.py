"""Hashes of content.

texts.py    the kinds of hash, and the parsing of a text; standard library only, for sandboxes
lookups.py  API schemas of lookups by hashes, paths and ids
"""
