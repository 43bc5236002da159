"""Inspection of model files: a file's content must agree with its extension, and its structure must be complete.

inspector.py            chooses the validator of a file and runs it, in this process or in a sandbox
safetensors.py  gguf.py  onnx.py      the validator of one format each
pickles.py              pickle formats: refused, or scanned by pickle_scanner/ in a sandbox
sandbox.py              a process that inspects one file; header_program.py runs in it for all formats but pickles
readers.py              bounded reads of byte ranges of a file
metadata.py             the result of an inspection, made safe to store and display
description/            what a model is: architecture, base model, trigger words, details of its training

What needs the first bytes only is in ``modelyard.comfyui.model_files``, since clients check it too.
"""
