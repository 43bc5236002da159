"""Searches for models: their grammar, and the values of their qualifiers.

grammar.py    tokens, and the terms that they mean
values.py     sizes, dates and fixed words, and the check of a whole search
sizes.py      sizes that people type, here and elsewhere
"""
