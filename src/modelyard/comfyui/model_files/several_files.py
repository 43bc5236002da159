"""Models of several files, by the names of their files: pipelines, weights in parts, and what is missing of them."""

import heapq
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.wire.folders.names import MAX_FILES
from modelyard.wire.formats import find_format
from modelyard.wire.paths import MAX_PATH_BYTES, SOURCE_PATTERN
from modelyard.wire.problems import NotAModelFile

# At the top of a Diffusers pipeline.
PIPELINE_INDEX = "model_index.json"
# Of a file that says which tensor is in which part of the weights; Diffusers puts the variant last.
_INDEX = re.compile(r"(.+)\.[^./]+\.index(?:\.([^./]+))?\.json")
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})((?:\.[^./]+){1,2})")
# Publishers give these names to the files of most models, whose name is that of the folder or repository.
_COMMON_NAME = re.compile(
    r"(diffusion_pytorch_model|pytorch_model|model|adapter_model|pytorch_lora_weights|consolidated)"
    r"((?:\.(?:fp16|bf16|fp8|ema|non_ema))*)"
)
_LISTED_NAME = re.compile(SOURCE_PATTERN)
_MAX_NAMES = 5


@dataclass(frozen=True)
class MissingParts:
    """The parts of weights that a folder lacks: the paths of the first ones, sorted, and how many there are."""

    first: list[str]
    count: int


def is_one_model(file_names: Collection[str]) -> bool:
    """Return whether a folder with these files is a pipeline, or all its weights are parts beside their index."""
    weights = {name for name in file_names if find_format(name) is not None}
    return PIPELINE_INDEX in file_names or (bool(weights) and weights == find_indexed_parts(file_names))


def find_indexed_parts(file_names: Collection[str]) -> set[str]:
    """Return the names of model files that are parts of weights whose index is beside them."""
    indexes = [index for name in file_names if (index := _INDEX.fullmatch(name)) is not None]
    indexed = {f"{index[1]}.{index[2]}" if index[2] else index[1] for index in indexes} | {each[1] for each in indexes}
    parts = filter(None, map(_PART.fullmatch, file_names))
    return {part[0] for part in parts if part[1] in indexed and find_format(part[0]) is not None}


def is_index(path: str) -> bool:
    """Return whether a file is the index of weights in parts, by its name."""
    return _INDEX.fullmatch(path) is not None


def is_part(path: str) -> bool:
    """Return whether a file is one of several parts of weights, by its name."""
    return _PART.fullmatch(path) is not None


def is_common_name(file_name: str) -> bool:
    """Return whether files of many different models have this name, as those of repositories and pipelines do."""
    return _match_common_name(file_name) is not None


def get_variant(file_name: str) -> str:
    """Return what tells the variant of a file with a common name, such as ``.fp16``; empty if nothing does."""
    common = _match_common_name(file_name)
    return common[2] if common else ""


def _match_common_name(file_name: str) -> re.Match[str] | None:
    """Return the match of the stem of a model file, without the number of a part, with the common names."""
    stem = file_name.lower().rpartition(".")[0]
    part = _PART.fullmatch(file_name.lower())
    return _COMMON_NAME.fullmatch(part[1] if part else stem) if find_format(file_name) is not None else None


def list_parts(path: str) -> list[str]:
    """Return the paths of all parts of the weights of which a file is one by its name.

    Empty if it is none, or if there would be more parts than a folder may have files.
    """
    part = _parse_part(path)
    if part is None or part[0].count > MAX_FILES:
        return []
    return [part[0].build_path(number) for number in range(1, part[0].count + 1)]


@dataclass(frozen=True)
class _PartNames:
    """The names that all parts of some weights share, by which they are ``count`` parts."""

    stem: str
    count: int
    extension: str

    def build_path(self, number: int) -> str:
        """Return the path of a part."""
        return f"{self.stem}-{number:05}-of-{self.count:05}{self.extension}"

    def list_missing(self, present: Collection[int]) -> Iterator[str]:
        """Yield the paths of the parts whose numbers are not present, up to as many as are named."""
        numbers = (number for number in range(1, self.count + 1) if number not in present)
        yield from (self.build_path(number) for number, _ in zip(numbers, range(_MAX_NAMES), strict=False))


def _parse_part(path: str) -> tuple[_PartNames, int] | None:
    """Return the names of the parts of which a file is one, and its number; None if it is none by its name."""
    part = _PART.fullmatch(path)
    if part is None or not 1 <= int(part[2]) <= int(part[3]):
        return None
    return _PartNames(part[1], int(part[3]), part[4]), int(part[2])


def find_missing_parts(paths: Collection[str], indexes: Iterable[tuple[str, bytes]]) -> MissingParts:
    """Find what a folder with these files lacks: by the numbers in their names, and by its indexes.

    ``indexes`` yields the paths and contents of the indexes that are to be read. An index of which no part is there is
    left over if other weights are beside it: publishers have the same weights in two formats. The work grows with the
    number of files and the bytes of the indexes, not with the numbers in the names.
    """
    present = frozenset(paths)
    numbers = dict[_PartNames, set[int]]()
    for names, number in filter(None, map(_parse_part, present)):
        numbers.setdefault(names, set()).add(number)
    indexed = {
        path
        for path in _list_indexed(present, indexes)
        if (part := _parse_part(path)) is None or part[0] not in numbers
    }
    numbered = (path for names, found in numbers.items() for path in names.list_missing(found))
    first = heapq.nsmallest(_MAX_NAMES, (path for several in (numbered, indexed) for path in several))
    return MissingParts(first, sum(names.count - len(found) for names, found in numbers.items()) + len(indexed))


def _list_indexed(present: Collection[str], indexes: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Yield the paths that indexes name and the folder lacks; see ``find_missing_parts``."""
    with_weights = {path.rpartition("/")[0] for path in present if find_format(path) is not None}
    for index, content in indexes:
        folder = index.rpartition("/")[0]
        named = {f"{folder}/{name}" if folder else name for name in _read_names(content)}
        missing = named.difference(present)
        if folder not in with_weights or len(missing) < len(named):
            yield from missing


def _read_names(content: bytes) -> set[str]:
    """Return the names of the model files in an index; empty if it is none, or names more than a folder may have.

    What could not be the path of a file in a folder is left out.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return set()
    weights = document.get("weight_map") if isinstance(document, dict) else None
    names = {name for name in weights.values() if isinstance(name, str)} if isinstance(weights, dict) else set()
    return {name for name in names if _may_be_listed(name)} if len(names) <= MAX_FILES else set()


def _may_be_listed(name: str) -> bool:
    """Return whether an index may name a model file so, by its length and characters."""
    return len(name) <= MAX_PATH_BYTES and _LISTED_NAME.fullmatch(name) is not None and find_format(name) is not None


def check_complete(paths: Collection[str], indexes: Iterable[tuple[str, bytes]]) -> None:
    """Check that a folder lacks no part of its weights, see ``find_missing_parts``.

    Raises:
        NotAModelFile: it does; the fact ``missing`` has the first paths.
    """
    missing = find_missing_parts(paths, indexes)
    if missing.count:
        raise build_refusal(
            f"The folder lacks parts of its weights: {_join(missing.first, missing.count)}. Download them too.",
            "incomplete folder",
            missing=missing.first,
        )


def build_part_refusal(file_name: str, missing: list[str]) -> NotAModelFile:
    """Build the problem of a part of a model that is to be a model of its own."""
    return build_refusal(
        f"'{file_name}' is one of several parts of a model, and the others are not beside it: "
        f"{_join(missing[:_MAX_NAMES], len(missing))}. "
        "Download them too and push their folder as one model, or join them to one file (llama-gguf-split --merge).",
        "part of a model",
        missing=missing[:_MAX_NAMES],
    )


def _join(first: list[str], count: int) -> str:
    """Return the first of ``count`` names in quotes, and how many more there are."""
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return ", ".join(f"'{name}'" for name in first) + more
