"""The metadata of ONNX models."""

from modelyard.comfyui.model_files.onnx import read_onnx_structure
from modelyard.comfyui.model_files.readers import Reader
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries


def validate_onnx(reader: Reader) -> ModelMetadata:
    """Check the structure of an ONNX model and return its metadata; reads tags, lengths and dimensions, no weights.

    Raises:
        NotAModelFile: the structure is invalid or truncated, or weights are in another file.
    """
    found = read_onnx_structure(reader)
    return ModelMetadata(
        format="onnx",
        tensor_dtypes=dict(found.dtypes),
        parameter_count=found.elements,
        extra=clean_entries(
            {"ir_version": found.ir_version, "producer_name": found.producer, "node_count": found.nodes}
        ),
    )
