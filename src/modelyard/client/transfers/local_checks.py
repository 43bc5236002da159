"""What the registry would refuse a file or folder for, as far as this machine can tell without sending it.

It is not all: the registry reads whole files, scans pickle files, and knows its quotas and rules.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from modelyard.client.api.registry import RegistryApi
from modelyard.client.new_types import list_new_types
from modelyard.comfyui.model_files.folder_files import check_data, check_json, name_file
from modelyard.comfyui.model_files.formats import detect_format
from modelyard.comfyui.model_files.gguf import UNKNOWN_TYPE, UNKNOWN_VERSION, read_gguf_header
from modelyard.comfyui.model_files.onnx import read_onnx_structure
from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_folder_pickle_refusal, build_pickle_refusal, build_refusal
from modelyard.comfyui.model_files.safetensors import UNKNOWN_DTYPE, read_tensors
from modelyard.comfyui.model_files.several_files import build_part_refusal, check_complete, is_index, list_parts
from modelyard.wire.folders.names import find_file_kind
from modelyard.wire.formats import find_format
from modelyard.wire.model_folders import suggest_folder
from modelyard.wire.problems import KeyNotAllowed, ModelTypeUnknown, NotAModelFile
from modelyard.wire.teams import PicklePolicy

_HEADER_CHECKS: dict[str, Callable[[Reader], object]] = {
    "safetensors": read_tensors,
    "gguf": read_gguf_header,
    "onnx": read_onnx_structure,
}
_LEFT_TO_THE_REGISTRY = {UNKNOWN_DTYPE, UNKNOWN_VERSION, UNKNOWN_TYPE}
# The last record of a zip without a comment; the registry accepts no other.
_ZIP_END, _ZIP_END_BYTES = b"PK\5\6", 22


class _FileReader:
    """A ``Reader`` of an open file of this machine."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.size = size

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer only at the end of the file."""
        self._stream.seek(start)
        return self._stream.read(length)


class LocalChecks:
    """Checks of files before they are sent; asks for the team's types and rule for pickle files once, only if needed.

    The checks use the registry's own functions, so that a refusal has the same words.
    """

    def __init__(self, registry: RegistryApi) -> None:
        self._registry = registry
        self._new_types = dict[str, bool]()  # near misses of known types, and whether no model of the team has them
        self._policy: PicklePolicy | None = None
        self._is_policy_read = False
        self._lock = asyncio.Lock()

    async def check_file(self, file: Path, model_path: str) -> None:
        """Check a file that is pushed to a model path.

        Raises:
            NotAModelFile: the registry would refuse it.
            OSError: it cannot be read.
        """
        policy = await self._find_policy([model_path])
        await asyncio.to_thread(check_file, file, model_path, policy)

    async def check_type(self, model_type: str) -> None:
        """Check that a type is no near miss of a known one, or that the team has a model of it.

        The registry is asked once for each near miss.

        Raises:
            ModelTypeUnknown: the registry would refuse it.
        """
        suggestion = suggest_folder(model_type)
        if suggestion is None:
            return
        async with self._lock:
            if model_type not in self._new_types:
                self._new_types[model_type] = bool(await list_new_types(self._registry, [model_type]))
        if self._new_types[model_type]:
            raise ModelTypeUnknown.for_type(model_type, suggestion)

    async def check_folder(self, files: Mapping[str, Path]) -> None:
        """Check the files of a folder that is pushed as one model, by their paths within it.

        Raises:
            NotAModelFile: the registry would refuse one of them, which the detail and the fact ``path`` name; or parts
                of the weights are missing.
            OSError: one cannot be read.
        """
        await asyncio.to_thread(check_folder, files, await self._find_policy(files))

    def is_pickle_rule_unknown(self, paths: Iterable[str]) -> bool:
        """Return whether a check of these paths needed the rule for pickle files, and the key may not read it."""
        return self._is_policy_read and self._policy is None and _has_pickle(paths)

    async def _find_policy(self, paths: Iterable[str]) -> PicklePolicy | None:
        """Return how the team handles pickle files, requested once.

        None if no path needs it, or the key may not read it.
        """
        if not _has_pickle(paths):
            return None
        async with self._lock:
            if not self._is_policy_read:
                try:
                    self._policy = (await self._registry.current_team()).pickle_policy
                except KeyNotAllowed:
                    self._policy = None
                self._is_policy_read = True
        return self._policy


def _has_pickle(paths: Iterable[str]) -> bool:
    """Return whether one of the paths is that of a pickle file."""
    return any(find_format(path) == "pickle" for path in paths)


def check_file(file: Path, model_path: str, pickle_policy: PicklePolicy | None) -> None:
    """Check the first bytes of a file, the description of its tensors and its length. Blocking.

    ``pickle_policy`` is None if it is not known. A GGUF file that is one of several parts needs the others beside it:
    loaders that read such files read them all.

    Raises:
        NotAModelFile: the registry would refuse the file at this model path.
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        _check_weights(_FileReader(stream, file.stat().st_size), model_path, pickle_policy)
    parts = list_parts(file.name) if find_format(file.name) == "gguf" else []
    if missing := [part for part in parts if not file.with_name(part).exists()]:
        raise build_part_refusal(file.name, missing)


def check_folder(files: Mapping[str, Path], pickle_policy: PicklePolicy | None) -> None:
    """Check the files of a folder as what their names stand for, and that no part of the weights is missing. Blocking.

    Raises as ``LocalChecks.check_folder``.
    """
    for path, file in files.items():
        with file.open("rb") as stream:
            try:
                _check_in_folder(_FileReader(stream, file.stat().st_size), path, pickle_policy)
            except NotAModelFile as refused:
                raise NotAModelFile(name_file(refused.detail, path), **refused.facts | {"path": path}) from None
    check_complete(files, ((path, file.read_bytes()) for path, file in files.items() if is_index(path)))


def _check_in_folder(reader: Reader, path: str, pickle_policy: PicklePolicy | None) -> None:
    """Check a file of a folder as what its name stands for.

    Raises:
        NotAModelFile: the registry would refuse it.
    """
    match find_file_kind(path):
        case "json":
            check_json(reader, path)
        case "data" | None:
            check_data(reader, path)
        case "pickle" if pickle_policy == "convert":
            raise build_folder_pickle_refusal()
        case _:
            _check_weights(reader, path, pickle_policy)


def _check_weights(reader: Reader, path: str, pickle_policy: PicklePolicy | None) -> None:
    """Check the format of a model file and its header. What a newer registry may read passes.

    Raises:
        NotAModelFile: the registry would refuse it.
    """
    kind = detect_format(reader, path)
    if kind == "pickle":
        _check_pickle(reader, pickle_policy)
        return
    try:
        _HEADER_CHECKS[kind](reader)
    except NotAModelFile as refused:
        if refused.facts.get("found") not in _LEFT_TO_THE_REGISTRY:
            raise


def _check_pickle(reader: Reader, policy: PicklePolicy | None) -> None:
    """Check that the team accepts pickle files, and that a zip, as which torch saves them, has an end.

    With ``trusted``, the end is not checked: an admin can allow a file that the scan refuses.

    Raises:
        NotAModelFile: the registry would refuse it.
    """
    if policy == "block":
        raise build_pickle_refusal()
    is_zip = reader.read(0, 2) == b"PK"
    if is_zip and policy != "trusted" and reader.read(max(0, reader.size - _ZIP_END_BYTES), 4) != _ZIP_END:
        raise build_refusal(
            "This file begins as a zip of torch.save, but does not end like one: it is truncated, or other data "
            "follows it. Download it again from its source, or save it again.",
            "truncated file",
        )
