"""``push`` and ``pull`` for scripts and notebooks: plain functions, even where an event loop is running already."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from modelyard.client.connecting import LONG_PATIENCE_SECONDS, connected
from modelyard.client.lookup import find_model
from modelyard.client.profile import ProfileFile
from modelyard.client.pull import Destination
from modelyard.client.pull import pull as pull_model
from modelyard.client.push import Pushing
from modelyard.client.registry import Registry
from modelyard.client.selection import Notes, NothingToPush, Unfit, Wishes, select_files
from modelyard.client.settings import ClientSettings, read_settings
from modelyard.transfer.progress import unheard
from modelyard.wire.models import Model

Result = TypeVar("Result")


class Where(TypedDict, total=False):
    """Which registry and team; without these, the environment and the profile say it, as for the command line."""

    url: str
    token: str
    team: str


class PushOptions(Where, total=False):
    """What a pushed file becomes; without these, its folder and content say it."""

    model_type: str
    model_path: str
    name: str
    notes: Notes
    replace: bool
    wait: bool


class PullOptions(Where, total=False):
    """How a pulled file is placed."""

    tree: bool
    replace: bool


def push(path: str | Path, **options: Unpack[PushOptions]) -> Model:
    """Push one file and give its model, verified unless ``wait=False``. Pushing what is there already changes nothing.

    Raises:
        Problem: the registry refused.
        TransferFailed: the bytes did not get there; call again to go on where this stopped.
        ValueError: the file or its path cannot be a model.
    """
    wishes = Wishes(
        model_type=options.get("model_type"),
        model_path=options.get("model_path"),
        display_name=options.get("name"),
        notes=options.get("notes", Notes()),
        replace=options.get("replace", False),
    )
    return _run(_push(path, wishes, options))


def pull(model: str, folder: str | Path = ".", **options: Unpack[PullOptions]) -> Path:
    """Pull a model by id, path or name into a folder and give the file. What is there already is not fetched again.

    Raises:
        Problem: there is no such model, or it cannot be had.
        TransferFailed: the bytes did not come, or another file is in the way; call again to go on.
    """
    destination = Destination(Path(folder), options.get("tree", False), options.get("replace", False))
    return _run(_pull(model, destination, options))


async def _push(path: str | Path, wishes: Wishes, options: PushOptions) -> Model:
    selected = await asyncio.to_thread(select_files, [str(path)], wishes)
    if len(selected) != 1:
        raise NothingToPush(
            f'"{path}" holds {len(selected)} model files. Push them one by one, or with the command line.'
        )
    if isinstance(selected[0], Unfit):
        raise selected[0].why
    settings = _settings(options)
    async with await _registry(settings) as registry:
        pushing = Pushing(registry, settings, unheard_push, wait=options.get("wait", True))
        pushed = await pushing.push(selected[0])
    if pushed.model is None:
        raise AssertionError("A push that does not raise has a model.")
    return pushed.model


async def _pull(name: str, destination: Destination, options: PullOptions) -> Path:
    async with await _registry(_settings(options)) as registry:
        model = await find_model(registry, name)
        return (await pull_model(registry, model, destination, unheard)).file


def unheard_push(event: object) -> None:
    """The report of a caller who does not care."""


def _settings(where: Where) -> ClientSettings:
    environment = dict(os.environ)
    if "token" in where:
        environment["MODELYARD_TOKEN"] = where["token"]
    return read_settings(environment, where.get("url"), where.get("team"))


async def _registry(settings: ClientSettings) -> Registry:
    profiles = ProfileFile(settings.profile_file, _no_warning)
    return await connected(settings, profiles, patience_seconds=LONG_PATIENCE_SECONDS)


def _no_warning(text: str) -> None:
    """A library prints nothing; the mode of the profile file is put right all the same."""


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``, run on a loop in a thread of its own; Ctrl-C cancels it and waits for its end."""
    outcome: list[Result] = []
    failure: list[BaseException] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Result]]] = []

    async def supervised() -> Result:
        task = asyncio.ensure_future(work)
        running.append((asyncio.get_running_loop(), task))
        return await task

    def run() -> None:
        try:
            outcome.append(asyncio.run(supervised()))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="modelyard")
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        for loop, task in running:
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]
