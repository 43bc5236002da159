"""The metadata of safetensors files."""

import struct
from collections import Counter

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.safetensors import looks_like_safetensors, read_tensors
from modelyard.server.inspection.description.architectures import describe_model
from modelyard.server.inspection.description.layers import Layers
from modelyard.server.inspection.description.training_metadata import add_tensor_details, parse_training_metadata
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries


def find_data_start(head: bytes) -> int | None:
    """Return the offset at which the header ends and the tensors begin; None if ``head`` is of another format."""
    return 8 + int(struct.unpack_from("<Q", head)[0]) if looks_like_safetensors(head) else None


def validate_safetensors(reader: Reader) -> ModelMetadata:
    """Check the structure of a safetensors file and return its metadata; reads the header only.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail names the rule.
    """
    tensors, metadata = read_tensors(reader)
    # U8 holds packed weights of 4 bits (ComfyUI's nvfp4, bitsandbytes), whose shape is not that of the layer.
    layers = Layers({name: None if tensor.dtype == "U8" else tensor.shape for name, tensor in tensors.items()})
    training = parse_training_metadata(metadata)
    description = describe_model(layers, training.claims)
    return ModelMetadata(
        format="safetensors",
        tensor_dtypes=dict(Counter(tensor.dtype for tensor in tensors.values())),
        parameter_count=sum(tensor.elements for tensor in tensors.values()),
        architecture=description.architecture or training.architecture,
        **description.entries,
        tags=training.tags,
        trigger_words=training.trigger_words,
        training_tags=training.training_tags,
        details=add_tensor_details(training.details, layers),
        extra=clean_entries({"tensor_count": len(tensors)} | training.entries),
    )
