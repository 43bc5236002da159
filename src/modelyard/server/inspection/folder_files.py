"""Inspection of a file inside a folder model: weights as model files, JSON for requests to run code."""

from collections.abc import Callable

from modelyard.comfyui.model_files.folder_files import REQUEST_JSON_BYTES, check_data, check_json
from modelyard.comfyui.model_files.pipeline_index import is_pipeline_index
from modelyard.comfyui.model_files.readers import Reader
from modelyard.server.inspection.inspector import inspect_file, inspect_within_request
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.pickles import PickleRule
from modelyard.server.inspection.sandbox import never_stop
from modelyard.wire.folders.names import find_file_kind


def inspect_folder_file(
    reader: Reader, path: str, rule: PickleRule, raise_if_stopped: Callable[[], None] = never_stop
) -> ModelMetadata | None:
    """Check a file of a folder as what its name stands for; return the metadata of a model file, None for others.

    Raises:
        NotAModelFile: it is not what its name stands for, asks for code, or is a pickle that the rule refuses.
        SandboxFailed, and errors of the store: see ``inspect_file``.
    """
    kind = find_file_kind(path)
    if kind == "json":
        check_json(reader, path)
        return None
    if kind == "data":
        check_data(reader, path)
        return None
    return inspect_file(reader, path, rule, raise_if_stopped)


def inspect_folder_file_within_request(
    reader: Reader, path: str, rule: PickleRule
) -> tuple[bool, ModelMetadata | None]:
    """Check a file of a folder if that is cheap; return whether it was checked, and the metadata of a model file.

    Raises:
        NotAModelFile: see ``inspect_folder_file``.
    """
    kind = find_file_kind(path)
    if kind == "data":
        check_data(reader, path)
        return True, None
    if kind == "json":
        # Verification checks equal content once for all names.
        if reader.size > REQUEST_JSON_BYTES and not is_pipeline_index(path):
            return False, None
        check_json(reader, path)
        return True, None
    metadata = inspect_within_request(reader, path, rule)
    return metadata is not None, metadata
