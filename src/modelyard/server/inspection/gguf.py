"""The metadata of GGUF files."""

import math
from collections import Counter

from modelyard.comfyui.model_files.gguf import read_gguf_header
from modelyard.comfyui.model_files.readers import Reader
from modelyard.server.inspection.description.architectures import describe_model
from modelyard.server.inspection.description.base_models import Claim
from modelyard.server.inspection.description.layers import Layers
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries
from modelyard.wire.texts.cleaning import clean_text


def validate_gguf(reader: Reader) -> ModelMetadata:
    """Check the structure of a GGUF file and return its metadata; reads the header only.

    The architecture is that of the tensors, or else the declared ``general.architecture``.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail names the rule.
    """
    header = read_gguf_header(reader)
    tensors = header.tensors
    # ggml writes the fastest-varying dimension first, other formats last.
    layers = Layers({name: tensor.shape[::-1] for name, tensor in tensors.items()})
    texts = {key: value for key, value in header.general.items() if isinstance(value, str)}
    description = describe_model(layers, _list_claims(texts))
    return ModelMetadata(
        format="gguf",
        tensor_dtypes=dict(Counter(tensor.type_name for tensor in tensors.values())),
        parameter_count=sum(math.prod(tensor.shape) for tensor in tensors.values()),
        architecture=description.architecture or clean_text(texts.get("general.architecture", ""), 100) or None,
        **description.entries,
        details={
            name: text for name in ("author", "license") if (text := clean_text(texts.get(f"general.{name}", ""), 200))
        },
        extra=clean_entries({"tensor_count": len(tensors), "gguf_version": header.version} | header.general),
    )


def _list_claims(texts: dict[str, str]) -> list[Claim]:
    """Return what the file claims as its base model: the names of its sources, then its architecture."""
    exact = [Claim("metadata", texts[key]) for key in ("general.base_model.0.name", "general.name") if key in texts]
    kinds = [texts["general.architecture"]] if "general.architecture" in texts else []
    return exact + [Claim("metadata", kind, is_exact=False) for kind in kinds]
