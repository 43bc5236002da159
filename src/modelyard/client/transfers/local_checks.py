"""What the registry would refuse a file or folder for, as far as this machine can tell without sending it.

It is not all: the registry reads whole files, scans pickle files, and knows its quotas and rules.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from modelyard.client.api.registry import RegistryApi
from modelyard.comfyui.model_files.folder_files import check_data, check_json, name_file
from modelyard.comfyui.model_files.formats import detect_format
from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_folder_pickle_refusal, build_pickle_refusal
from modelyard.comfyui.model_files.safetensors import UNKNOWN_DTYPE, read_tensors
from modelyard.wire.folders.names import find_file_kind
from modelyard.wire.formats import find_format
from modelyard.wire.problems import KeyNotAllowed, NotAModelFile
from modelyard.wire.teams import PicklePolicy


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
    """Checks of files before they are sent; asks for the team's rule for pickle files at most once, and only if needed.

    The checks use the registry's own functions, so that a refusal has the same words.
    """

    def __init__(self, registry: RegistryApi) -> None:
        self._registry = registry
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

    async def check_folder(self, files: Mapping[str, Path]) -> None:
        """Check the files of a folder that is pushed as one model, by their paths within it.

        Raises:
            NotAModelFile: the registry would refuse one of them; the detail and the fact ``path`` name it.
            OSError: one cannot be read.
        """
        await asyncio.to_thread(check_folder, files, await self._find_policy(files))

    async def _find_policy(self, paths: Iterable[str]) -> PicklePolicy | None:
        """Return how the team handles pickle files; None if none of the paths needs it, or the key may not read it."""
        if all(find_format(path) != "pickle" for path in paths):
            return None
        async with self._lock:
            if not self._is_policy_read:
                try:
                    self._policy = (await self._registry.current_team()).pickle_policy
                except KeyNotAllowed:
                    self._policy = None
                self._is_policy_read = True
        return self._policy


def check_file(file: Path, model_path: str, pickle_policy: PicklePolicy | None) -> None:
    """Check the first bytes of a file, and the header of safetensors. Blocking.

    ``pickle_policy`` is None if it is not known.

    Raises:
        NotAModelFile: the registry would refuse the file at this model path.
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        _check_weights(_FileReader(stream, file.stat().st_size), model_path, pickle_policy)


def check_folder(files: Mapping[str, Path], pickle_policy: PicklePolicy | None) -> None:
    """Check the files of a folder as what their names stand for. Blocking. Raises as ``LocalChecks.check_folder``."""
    for path, file in files.items():
        with file.open("rb") as stream:
            try:
                _check_in_folder(_FileReader(stream, file.stat().st_size), path, pickle_policy)
            except NotAModelFile as refused:
                raise NotAModelFile(name_file(refused.detail, path), **refused.facts | {"path": path}) from None


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
    """Check a model file. A dtype that is unknown here passes, since a newer registry may read it.

    Raises:
        NotAModelFile: the registry would refuse it.
    """
    kind = detect_format(reader, path)
    if kind == "pickle" and pickle_policy == "block":
        raise build_pickle_refusal()
    if kind == "safetensors":
        try:
            read_tensors(reader)
        except NotAModelFile as refused:
            if refused.facts.get("found") != UNKNOWN_DTYPE:
                raise
