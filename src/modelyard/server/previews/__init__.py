"""Preview pictures of versions: decoded in a sandbox, stored as WebP in two sizes, served to members of the team.

encoding.py         decoding and encoding; runs in the sandbox only
sandbox_program.py  the program of the sandbox
decoder.py          runs it for one picture
pictures.py         stored pictures: writing, finding, reading
request_decoding.py receives and decodes those of requests, in threads of its own
operations.py       what people do with the preview of a version
embedded.py         the pictures in a model file
extraction.py       the job that looks for them
stock.py            those that many models of a team have
viewer.py           who may see pictures: a token or the pictures' cookie
"""
