"""``push`` and ``pull`` as blocking functions for scripts and notebooks; they also work inside an event loop."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from modelyard.client.api.registry import Registry
from modelyard.client.profile import ProfileFile
from modelyard.client.resolve_models import find_model, find_model_version
from modelyard.client.session import build_registry
from modelyard.client.settings import ClientSettings, read_settings
from modelyard.client.transfers.collect import (
    ModelOverrides,
    Notes,
    NothingToPush,
    PushRequest,
    RejectedFile,
    build_version_request,
    select_files,
    select_version_file,
)
from modelyard.client.transfers.pull import Destination
from modelyard.client.transfers.pull import pull as pull_model
from modelyard.client.transfers.push import Pusher
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model

Result = TypeVar("Result")


class RegistryOptions(TypedDict, total=False):
    """The registry, token and team to use; those left out come from the environment or the profile file."""

    url: str
    token: str
    team: str


class PushOptions(RegistryOptions, total=False):
    """The model that a pushed file becomes; fields left out are derived from its folder and content.

    ``to`` is the id, path or name of the model that the file becomes the next version of, ``note`` what is new in it.
    ``replace`` allows a next version of the model that is at the file's path already.
    """

    to: str
    note: str
    model_type: str
    model_path: str
    name: str
    notes: Notes
    replace: bool
    wait: bool


class PullOptions(RegistryOptions, total=False):
    """Whether a pulled file is placed at its model path, and whether it may replace a different file."""

    tree: bool
    replace: bool


def push(path: str | Path, **options: Unpack[PushOptions]) -> Model:
    """Push one file and return its model, verified unless ``wait=False``; content that is there already is not sent.

    Blocking. ``path`` is a file, or a folder or pattern with exactly one model file.

    Raises:
        Problem: the registry refused the file.
        TransferFailed: the upload failed; call again to continue it.
        ValueError: the file or its path cannot be a model, or a folder or pattern has more than one model file.
    """
    overrides = ModelOverrides(
        model_type=options.get("model_type"),
        model_path=options.get("model_path"),
        display_name=options.get("name"),
        notes=options.get("notes", Notes()),
        replace=options.get("replace", False),
        note=options.get("note"),
    )
    return _run(_push(path, overrides, options))


def pull(model: str, folder: str | Path = ".", **options: Unpack[PullOptions]) -> Path:
    """Download a model by id, path or name into a folder and return the file; one that is there is not sent again.

    ``NAME@3`` downloads version 3 instead of the current one.

    Raises:
        Problem: there is no such model, or it is not verified or damaged.
        TransferFailed: the download failed (call again to continue it), or a different file has that name.
    """
    destination = Destination(Path(folder), options.get("tree", False), options.get("replace", False))
    return _run(_pull(model, destination, options))


async def _push(path: str | Path, overrides: ModelOverrides, options: PushOptions) -> Model:
    """Push the only file of an argument and return its model; see ``push``."""
    is_version = "to" in options
    if is_version and (overrides.model_type or overrides.model_path):
        raise NothingToPush("A new version has the type and the path of its model: do not give them with `to`.")
    selected = await (
        asyncio.to_thread(select_version_file, [str(path)])
        if is_version
        else asyncio.to_thread(_select_file, path, overrides)
    )
    settings = _read_settings(options)
    async with await _build_registry(settings) as registry:
        request = (
            selected
            if isinstance(selected, PushRequest)
            else build_version_request(selected, await find_model(registry, options["to"]), overrides)
        )
        pusher = Pusher(registry, settings, ignore_event, wait=options.get("wait", True))
        return (await pusher.push(request)).model


def _select_file(path: str | Path, overrides: ModelOverrides) -> PushRequest:
    """Return the push request of the only file of an argument. Blocking.

    Raises:
        NothingToPush: it names no file or several.
        ValueError, OSError: the file was rejected.
    """
    selected = select_files([str(path)], overrides)
    if len(selected) != 1:
        raise NothingToPush(
            f'"{path}" contains {len(selected)} model files. Push them one by one, or with the command line.'
        )
    if isinstance(selected[0], RejectedFile):
        raise selected[0].error
    return selected[0]


async def _pull(name: str, destination: Destination, options: PullOptions) -> Path:
    """Find a model and download it; see ``pull``."""
    async with await _build_registry(_read_settings(options)) as registry:
        model = await find_model_version(registry, name)
        return (await pull_model(registry, model, destination, ignore_progress)).file


def ignore_event(event: object) -> None:
    """Do nothing with an event of a push; for callers that show no progress."""


def _read_settings(options: RegistryOptions) -> ClientSettings:
    """Read the settings from the environment; the options ``url``, ``token`` and ``team`` take precedence."""
    environment = dict(os.environ)
    if "token" in options:
        environment["MODELYARD_TOKEN"] = options["token"]
    return read_settings(environment, options.get("url"), options.get("team"))


async def _build_registry(settings: ClientSettings) -> Registry:
    """Build the client of the selected registry, not entered yet; warnings about the profile file are dropped."""
    profiles = ProfileFile(settings.profile_file, _ignore_warning)
    return await build_registry(settings, profiles, retry_seconds=settings.give_up_seconds)


def _ignore_warning(text: str) -> None:
    """Do nothing with a warning about the profile file's mode: a library prints nothing. The mode is corrected."""


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` on an event loop in a new thread, and return its result or raise its exception.

    Ctrl-C cancels ``work``, waits for its end, and raises KeyboardInterrupt.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Result]]] = []

    async def run_as_task() -> Result:
        """Await ``work`` as a task that the caller's thread can cancel."""
        task = asyncio.ensure_future(work)
        running.append((asyncio.get_running_loop(), task))
        return await task

    def run_loop() -> None:
        """Run the task on a new event loop, and store its result or exception."""
        try:
            results.append(asyncio.run(run_as_task()))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run_loop, name="modelyard")
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        for loop, task in running:
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if errors:
        raise errors[0]
    return results[0]
