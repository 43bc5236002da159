"""Shell completion of the names of models and machines: from the registry, and for half a minute from a cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import platformdirs
import typer

from modelyard.cli.terminal.formatting import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import FrameType

    from modelyard.client.api.registry import RegistryApi

    Load = Callable[[RegistryApi], Awaitable[list[str]]]

# A person waits for this at each press of the key.
_DEADLINE_SECONDS = 2.0
_FRESH_SECONDS = 30.0
_LOADED = 100
# What selects the registry and the caller.
_VARIABLES = ("URL", "TOKEN", "TEAM", "CONFIG")


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Return the paths and file names of models that begin with a text; none if the registry does not answer in time.

    Raises nothing: a shell would show it in the middle of the line that is being typed.
    """
    # Words of the last part of a path: other characters could be read as qualifiers of a search.
    words = re.findall(r"\w+", incomplete.rpartition("/")[2])[:8]

    async def load(registry: RegistryApi) -> list[str]:
        """Request the ``_LOADED`` newest models that match the words, and return their paths.

        Their file names are before them if the text may be one: if it is not empty and has no slash.
        """
        from modelyard.client.api.paging import Paging
        from modelyard.wire.model_filter import ModelFilter

        page = await registry.list_models(ModelFilter(q=" ".join(words) or None), Paging(per_page=_LOADED))
        paths = [model.model_path.removeprefix("models/") for model in page.model_list]
        return paths if "/" in incomplete or not incomplete else [*map(_get_file_name, paths), *paths]

    return _complete(context, f"model {' '.join(words)}", load, incomplete)


def complete_machine(context: typer.Context, incomplete: str) -> list[str]:
    """Return the machines whose names begin with a text; see ``complete_model``."""

    async def load(registry: RegistryApi) -> list[str]:
        """Return the names of the team's machines."""
        from modelyard.client.api.agents import list_all_agents

        return [agent.agent_id for agent in await list_all_agents(registry)]

    return _complete(context, "machine", load, incomplete)


def _get_file_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def _complete(context: typer.Context, query: str, load: Load, incomplete: str) -> list[str]:
    """Return the names that begin with a text, from the cache, or else by ``load``, whose names are cached.

    None on errors.
    """
    options = context.find_root().params
    url, team = options.get("url"), options.get("team")
    file = _get_cache_file([query, url, team, *(os.environ.get(f"MODELYARD_{name}") for name in _VARIABLES)])
    names = _read_cache(file)
    if names is None:
        try:
            names = _load_names(load, url, team)
        except Exception:  # noqa: BLE001 - see ``complete_model``
            return []
        _write_cache(file, names)
    return _list_matches(names, incomplete)


def _list_matches(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin with a text, without those that a shell could misread."""
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete) and name == escape_unprintable(name)]


def _load_names(load: Load, url: str | None, team: str | None) -> list[str]:
    """Return the names from the registry; ends the process without completions when the deadline is over."""
    import asyncio

    from modelyard.client.profile import ProfileFile
    from modelyard.client.session import build_registry
    from modelyard.client.settings import read_settings

    async def run() -> list[str]:
        """Load the names as the user of the settings or the profile."""
        settings = read_settings(os.environ, url, team)
        async with await build_registry(settings, ProfileFile(settings.profile_file)) as registry:
            return await load(registry)

    if sys.platform != "win32":
        # A timeout of the event loop would not end a thread that resolves a name.
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, _DEADLINE_SECONDS)
    try:
        return asyncio.run(run())
    finally:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the shape of a signal handler
    """End the process, with no completions."""
    os._exit(0)


def _get_cache_file(key: list[object]) -> Path:
    """Return the file for the names of one question of one caller; the token is in its name only as a hash."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    return platformdirs.user_cache_path("modelyard") / "completion" / f"{digest}.json"


def _read_cache(file: Path) -> list[str] | None:
    """Return the names in a fresh cache file; None if there is none."""
    try:
        if time.time() - file.stat().st_mtime > _FRESH_SECONDS:
            return None
        return [str(name) for name in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return None


def _write_cache(file: Path, names: list[str]) -> None:
    """Write a cache file, readable by its owner only, and delete those that are not fresh; errors are ignored."""
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in file.parent.glob("*.json"):
            if time.time() - old.stat().st_mtime > _FRESH_SECONDS:
                old.unlink(missing_ok=True)
        file.write_text(json.dumps(names), encoding="utf-8")
