"""Models of several files, by the names of their files: pipelines, weights in parts, and what is missing of them."""

import json
import re
from collections.abc import Collection, Iterable, Mapping

from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.wire.formats import find_format
from modelyard.wire.problems import NotAModelFile

# At the top of a Diffusers pipeline.
PIPELINE_INDEX = "model_index.json"
# Of a file that says which tensor is in which part of the weights.
INDEX_ENDING = ".index.json"
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.[^./]+)")
# Publishers give these names to the files of most models, whose name is that of the folder or repository.
_COMMON_NAME = re.compile(
    r"(diffusion_pytorch_model|pytorch_model|model|adapter_model|pytorch_lora_weights|consolidated)"
    r"(\.(fp16|bf16|fp8|ema|non_ema))*"
)
_MAX_NAMES = 5


def is_one_model(file_names: Collection[str]) -> bool:
    """Return whether a folder with these files is a pipeline, or has weights in parts beside their index."""
    has_index = any(name.endswith(INDEX_ENDING) for name in file_names)
    return PIPELINE_INDEX in file_names or (has_index and any(_PART.fullmatch(name) for name in file_names))


def is_common_name(file_name: str) -> bool:
    """Return whether files of many different models have this name, as those of repositories and pipelines do."""
    stem, dot, extension = file_name.lower().rpartition(".")
    part = _PART.fullmatch(f"{stem}{dot}{extension}")
    return find_format(file_name) is not None and _COMMON_NAME.fullmatch(part[1] if part else stem) is not None


def list_parts(path: str) -> list[str]:
    """Return the paths of all parts of the weights of which a file is one by its name; empty if it is none."""
    part = _PART.fullmatch(path)
    if part is None or not 1 <= int(part[2]) <= int(part[3]):
        return []
    return [f"{part[1]}-{number:05}-of-{part[3]}{part[4]}" for number in range(1, int(part[3]) + 1)]


def find_missing_parts(paths: Collection[str], indexes: Mapping[str, bytes]) -> list[str]:
    """Return the paths that a folder with these files lacks: by the numbers in their names, and by its indexes.

    ``indexes`` has the content of the indexes that are to be read, by their paths. An index of which no part is there
    is left over if other weights are beside it: publishers have the same weights in two formats.
    """
    numbered = {path for each in paths for path in list_parts(each)}
    indexed = {path for index, content in indexes.items() for path in _list_missing(paths, index, content)}
    return sorted((numbered | indexed) - set(paths))


def _list_missing(paths: Collection[str], index: str, content: bytes) -> Iterable[str]:
    """Return the paths that an index names and the folder lacks; see ``find_missing_parts``."""
    folder = index.rpartition("/")[0]
    named = {f"{folder}/{name}" if folder else name for name in _read_names(content)}
    has_weights = any(path.rpartition("/")[0] == folder and find_format(path) is not None for path in paths)
    return () if has_weights and named.isdisjoint(paths) else named - set(paths)


def _read_names(content: bytes) -> set[str]:
    """Return the names of the files in an index; empty if it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return set()
    weights = document.get("weight_map") if isinstance(document, dict) else None
    return {name for name in weights.values() if isinstance(name, str)} if isinstance(weights, dict) else set()


def check_complete(paths: Collection[str], indexes: Mapping[str, bytes]) -> None:
    """Check that a folder lacks no part of its weights, see ``find_missing_parts``.

    Raises:
        NotAModelFile: it does; the fact ``missing`` has the first paths.
    """
    if missing := find_missing_parts(paths, indexes):
        raise build_refusal(
            f"The folder lacks parts of its weights: {_join(missing)}. Download them too.",
            "incomplete folder",
            missing=missing[:_MAX_NAMES],
        )


def build_part_refusal(file_name: str, missing: list[str]) -> NotAModelFile:
    """Build the problem of a part of a model that is to be a model of its own."""
    return build_refusal(
        f"'{file_name}' is one of several parts of a model, and the others are not beside it: {_join(missing)}. "
        "Download them too and push their folder as one model, or join them to one file (llama-gguf-split --merge).",
        "part of a model",
        missing=missing[:_MAX_NAMES],
    )


def _join(names: list[str]) -> str:
    """Return the first names in quotes, and how many more there are."""
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(f"'{name}'" for name in names[:_MAX_NAMES]) + more
