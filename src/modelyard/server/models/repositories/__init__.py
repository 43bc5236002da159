"""Under which names clients of Hugging Face find models: repositories and files.

names.py       the names of repositories that models have, and the models of names
tables.py      of which files of repositories at Hugging Face models have the content
operations.py  record such a file, and find the name of a model
"""
