"""The HTTP API of a running ComfyUI: its version, queue and model lists, and unloading of models.

All calls block. None raises if ComfyUI is not running, since it may start and stop at any time.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from modelyard.comfyui.prompts import Prompt, find_prompt_id, parse_history, parse_queue_entries

_TIMEOUT_SECONDS = 5.0
# Nodes scan folders for it, which takes long on network file systems.
_OBJECT_INFO_SECONDS = 30.0
_MAX_RESPONSE_BYTES = 32 * 1024 * 1024
# UnicodeError is raised for host names that are invalid in DNS.
_CONNECTION_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError)


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


class History(NamedTuple):
    """The last prompts that a ComfyUI ended, and the entries and bytes of its response."""

    prompts: list[Prompt]
    entry_count: int
    byte_count: int


class Choices(NamedTuple):
    """A ComfyUI's description of all nodes, as JSON, and the models that it lists under each key that it has."""

    object_info: bytes
    files: dict[str, frozenset[str]]


@dataclass(frozen=True)
class ComfyUI:
    """A client of the ComfyUI at ``url``, which may not be running."""

    url: str

    def get_version(self) -> str | None:
        """Return its version ("" if it does not report one), or None if no ComfyUI responds within 5 seconds."""
        response = self._get("/system_stats")
        try:
            return None if response is None else _parse_version(response)
        except ValidationError:
            return None

    def is_running(self) -> bool | None:
        """Return whether a ComfyUI responds; None if it is too busy to respond."""
        try:
            response = self._fetch("/system_stats", _TIMEOUT_SECONDS)
            if response is not None:
                _parse_version(response)
        except httpx2.TimeoutException:
            return None
        except (*_CONNECTION_ERRORS, ValidationError):
            return False
        return response is not None

    def is_rendering(self) -> bool:
        """Return whether it runs or queues prompts: False if no ComfyUI responds, True if it is too busy to respond."""
        queue = self._get_queue()
        return queue is None or bool(queue.queue_running or queue.queue_pending)

    def list_queued_texts(self) -> dict[str, frozenset[str]] | None:
        """Return all strings in the running and queued prompts, by the prompts' ids; those without an id together.

        Empty if it is not running, None if it is too busy to respond.
        """
        queue = self._get_queue()
        if queue is None:
            return None
        texts: dict[str, frozenset[str]] = {}
        for entry in (*queue.queue_running, *queue.queue_pending):
            prompt_id = find_prompt_id(entry)
            texts[prompt_id] = texts.get(prompt_id, frozenset()).union(_iter_texts(entry))
        return texts

    def list_running_prompts(self) -> list[Prompt]:
        """Return the prompts that it executes now; empty if it does not respond."""
        queue = self._get_queue()
        return [] if queue is None else parse_queue_entries(queue.queue_running)

    def list_queued_prompts(self) -> list[Prompt] | None:
        """Return running and queued prompts; empty if it is not running, None if it is too busy to respond."""
        queue = self._get_queue()
        return None if queue is None else parse_queue_entries([*queue.queue_running, *queue.queue_pending])

    def read_history(self, max_items: int) -> History | None:
        """Return the last prompts that it has in memory; None if it does not respond, or its response is too large."""
        response = self._get(f"/history?max_items={max_items}")
        try:
            history = None if response is None else json.loads(response)
        except (ValueError, RecursionError):
            return None
        if response is None or not isinstance(history, dict):
            return None
        return History(parse_history(history), len(history), len(response))

    def _get_queue(self) -> _Queue | None:
        """Return its queue: empty if it is not running or is no ComfyUI, None if it is too busy to respond."""
        try:
            with _open_client() as http:
                response = http.get(f"{self.url}/queue")
            return _Queue.model_validate_json(response.content)
        except (httpx2.ReadTimeout, httpx2.WriteTimeout):
            return None
        except (*_CONNECTION_ERRORS, ValidationError):
            return _Queue(queue_running=[], queue_pending=[])

    def list_names(self, key: str) -> frozenset[str] | None:
        """Return the models that it lists under a key; None if it does not have the key or does not respond."""
        try:
            return self._fetch_names(key)
        except (*_CONNECTION_ERRORS, ValidationError):
            return None

    def read_choices(self, keys: Iterable[str]) -> Choices | None:
        """Return what its nodes offer, and what it lists under these keys; None unless it sends all of that.

        Each call makes ComfyUI scan all its folders, so it is for once per start.
        """
        try:
            files = {key: names for key in keys if (names := self._fetch_names(key)) is not None}
            object_info = self._fetch("/object_info", _OBJECT_INFO_SECONDS)
        except (*_CONNECTION_ERRORS, ValidationError):
            return None
        return None if object_info is None else Choices(object_info, files)

    def unload_models(self) -> bool:
        """Request that ComfyUI unloads models and frees its caches, so that nodes do not use replaced files.

        Returns whether it accepted the request; False if it is not running.
        """
        try:
            with _open_client() as http:
                response = http.post(f"{self.url}/free", json={"unload_models": True, "free_memory": True})
        except _CONNECTION_ERRORS:
            return False
        return response.is_success

    def _fetch_names(self, key: str) -> frozenset[str] | None:
        """Return the models that it lists under a key; None if it does not have the key.

        Raises:
            HTTPError, InvalidURL, UnicodeError, ValidationError: it does not list them.
        """
        response = self._fetch(f"/models/{quote(key, safe='')}", _TIMEOUT_SECONDS)
        return None if response is None else frozenset(_names.validate_json(response))

    def _get(self, path: str) -> bytes | None:
        """Return the body of a response; None if nothing responds, the status is not 200 or it is too large."""
        try:
            return self._fetch(path, _TIMEOUT_SECONDS)
        except _CONNECTION_ERRORS:
            return None

    def _fetch(self, path: str, timeout_seconds: float) -> bytes | None:
        """Return the body of a response, None for status 404; the timeout is that of each step.

        Raises:
            HTTPError, InvalidURL, UnicodeError: no complete response, another status than 200, or it is too large.
        """
        body = bytearray()
        with _open_client(timeout_seconds) as http, http.stream("GET", f"{self.url}{path}") as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_RESPONSE_BYTES:
                    raise httpx2.HTTPError("The response is too large.")
        if response.status_code not in (200, 404):
            raise httpx2.HTTPError(f"The status is {response.status_code}.")
        return bytes(body) if response.status_code == 200 else None


def _iter_texts(value: object) -> Iterator[str]:
    """Yield all strings in a JSON value, at any depth."""
    remaining = [value]
    while remaining:
        item = remaining.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list | dict):
            remaining.extend(item.values() if isinstance(item, dict) else item)


def _parse_version(system_stats: bytes) -> str:
    """Return the version in a response of ``/system_stats``; "" if it has none.

    Raises:
        ValidationError: it is no such response.
    """
    return _SystemStats.model_validate_json(system_stats).system.comfyui_version or ""


def _open_client(timeout_seconds: float = _TIMEOUT_SECONDS) -> httpx2.Client:
    """Open a client with a timeout for each step, without the proxies of the environment."""
    return httpx2.Client(timeout=timeout_seconds, trust_env=False)
