"""What a model is, from its tensors and from what its trainer wrote into it.

architectures.py        the architecture and base model of a model; the entry to the next three
layers.py               layers by tensor names, the same for all writers, and for full models and adapters
families.py             families of models with the same tensors
base_models.py          names that tensors permit, and their refinement by claims
training_metadata.py    what trainers declare; training_sets.py and trigger_words.py find tags and trigger words in it
"""
