"""The Hugging Face endpoint: clients of Hugging Face download the team's models with ``HF_ENDPOINT=https://…/hf``.

addresses.py   what the path of a request asks for
revisions.py   repository revisions and Git's object ids, from the content of files
operations.py  the repositories of a team, with the files of a repository revision
listing.py     the list of a team's repositories, by pages
pull_through.py  files that the team does not have, and imports from Hugging Face
earlier_imports.py  earlier imports of such a file, and content that the team has
documents.py   the JSON documents that clients read
errors.py      problems with the headers that clients read
routes.py      ``/hf``
"""
