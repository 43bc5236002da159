"""Sources of imports: what a link means, and what the source says about it.

links.py        parses links of all kinds (pure)
drafts.py       file names, types and texts of a draft (pure)
requests.py     requests to a source, and its refusals in words
huggingface.py  files of a repository, pinned to a commit
civitai.py      files of a model's version
direct.py       any other https address
"""
