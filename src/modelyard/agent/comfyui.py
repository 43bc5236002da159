"""A ComfyUI beside the agent: what it says of itself, and what it must be told after files came or went.

All calls block, and none raises for a ComfyUI that is off: it may start and stop as it likes. ``/object_info`` is never
asked for: each request there makes ComfyUI look through all its folders.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from modelyard.client.sync.holding.roots import Install
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import quoted

_SECONDS = 5.0
_MOST_BYTES = 32 * 1024 * 1024


class _System(BaseModel):
    model_config = ConfigDict(extra="ignore")

    comfyui_version: str | None = None


class _SystemStats(BaseModel):
    model_config = ConfigDict(extra="ignore")

    system: _System


class _Queue(BaseModel):
    model_config = ConfigDict(extra="ignore")

    queue_running: list[object]
    queue_pending: list[object]


_names = TypeAdapter(list[str])


@dataclass(frozen=True)
class ComfyUI:
    """The ComfyUI that listens at ``url``, if one does."""

    url: str

    def version(self) -> str | None:
        """Its version ("" if it does not say), or None if no ComfyUI answers."""
        answer = self._get("/system_stats")
        try:
            return None if answer is None else (_SystemStats.model_validate_json(answer).system.comfyui_version or "")
        except ValidationError:
            return None

    def is_rendering(self) -> bool:
        """Whether it works on something; one that is off does not, one that is too busy to answer does."""
        try:
            with _client() as http:
                answer = http.get(f"{self.url}/queue")
            queue = _Queue.model_validate_json(answer.content)
        except (httpx2.ReadTimeout, httpx2.WriteTimeout):
            return True
        except (httpx2.HTTPError, httpx2.InvalidURL, ValidationError):
            return False
        return bool(queue.queue_running or queue.queue_pending)

    def names(self, key: str) -> frozenset[str] | None:
        """What its loaders offer for a key; None if it is off or does not know the key."""
        answer = self._get(f"/models/{quote(key, safe='')}")
        try:
            return None if answer is None else frozenset(_names.validate_json(answer))
        except ValidationError:
            return None

    def free(self) -> bool:
        """Let go of the models in memory: nodes of a running ComfyUI keep old bytes otherwise. Whether it heard."""
        try:
            with _client() as http:
                done = http.post(f"{self.url}/free", json={"unload_models": True, "free_memory": True})
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return False
        return done.is_success

    def _get(self, path: str) -> bytes | None:
        try:
            with _client() as http:
                answer = http.get(f"{self.url}{path}")
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return None
        return answer.content if answer.status_code == 200 and len(answer.content) <= _MOST_BYTES else None


class Witness:
    """Whether a ComfyUI that runs loads models from the files that were placed for it; asks for each key once."""

    def __init__(self, comfyui: ComfyUI, install: Install) -> None:
        self._comfyui = comfyui
        self._install = install
        self._names: dict[str, frozenset[str] | None] = {}
        self._is_running = comfyui.version() is not None
        self._roots: dict[str, list[Path]] = defaultdict(list)
        for root in install.roots:
            self._roots[root.key].append(root.path.resolve())

    def objection(self, wanted: Wanted, path: Path) -> str | None:
        """Why it does not load the model from the file at ``path``; None if it does, is off, or has other folders."""
        roots = self._roots.get(wanted.model_type, [])
        if not self._is_running or not (wanted.model_type not in self._roots or any(map(path.is_relative_to, roots))):
            return None
        url, key = self._comfyui.url, wanted.model_type
        names = self._listed(key)
        if names is None:
            return (
                f"ComfyUI at {url} knows no models of type '{key}': a custom node that brings the type is missing."
                " Install it and restart ComfyUI."
            )
        if wanted.name.replace("/", os.sep) not in names:
            return (
                f"ComfyUI at {url} does not list {quoted(wanted.name)} under '{key}', though the file is at"
                f" {quoted(path)}. Its loaders do not know the ending, or its folders changed: restart ComfyUI."
            )
        found = _first(self._install, key, wanted.name)
        if found is not None and not _is_same(found, path):
            return (
                f"ComfyUI loads {quoted(found)} under this name, not {quoted(path)}. Move that file away or rename it."
            )
        return None

    def _listed(self, key: str) -> frozenset[str] | None:
        if key not in self._names:
            self._names[key] = self._comfyui.names(key)
        return self._names[key]


def _first(install: Install, key: str, name: str) -> Path | None:
    """The file that ComfyUI opens: the first root that has the name wins."""
    paths = (root.path / name for root in install.roots if root.key == key)
    return next((path for path in paths if path.is_file()), None)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _client() -> httpx2.Client:
    return httpx2.Client(timeout=_SECONDS, trust_env=False)
