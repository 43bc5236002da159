"""ComfyUI: its folders, its configuration and its HTTP API. Nothing here changes files.

layout.py             model folders of an installation, by key; the layout that every ComfyUI starts with
extra_model_paths.py  the folders that its configuration files add
folders_api.py        the folders that a running ComfyUI reports
http_api.py           the HTTP API of a running ComfyUI: version, queue, listed models
load_check.py         whether a running ComfyUI loads a placed file, and what to do if not
model_locations.py    the type and model path of a file, and corrected file names
type_detection.py     detection of a model's type by its tensors
workflows/            models that workflow files name
quoting.py            file names and counts in messages
"""
