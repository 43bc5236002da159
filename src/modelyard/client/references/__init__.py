"""How a user refers to an object of the team.

matching.py     which objects a reference means: the order of ids, unique values and names
models.py       what refers to a model, and to one of its versions
short_ids.py    starts of ids that a person can type
"""
