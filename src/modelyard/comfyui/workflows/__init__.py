"""Model references in ComfyUI's workflow files. Nothing here opens a file, follows a reference or makes a request.

reading.py     ``read_workflow``: the references of a workflow in UI or API format
references.py  a reference to a model file; the exception for documents that cannot be read
documents.py   JSON of untrusted origin, and the format of a workflow
nodes.py       a node with its values, in the form that both formats are brought to
api_format.py  the nodes of the API format
ui_format.py   the nodes of the UI format, with subgraphs expanded
links.py       links and subgraph inputs of the UI format: the value that arrives at an input
widgets.py     names of the values of positional widget lists
group_nodes.py the nodes inside group nodes
declared.py    models that a workflow declares with address, folder and hash
detection.py   the values of a node that name models
prompts.py     LoRA tags and embeddings in prompts
lora_rows.py   rows of LoRA lists
rewriting.py   a copy of a workflow with other names of models
loaders.py     the loader nodes, read from core_loaders.toml and custom_loaders.toml
embedded/      workflows inside pictures, videos and audio files
"""
