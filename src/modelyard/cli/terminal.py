"""What a command works with: the settings it was given, the profiles, the registry, and its voice."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from modelyard.cli.output import Output

if TYPE_CHECKING:
    from modelyard.client.profile import ProfileFile
    from modelyard.client.registry import Registry
    from modelyard.client.settings import ClientSettings

Result = TypeVar("Result")


class Terminal:
    """One call of the program. Loads what it needs when it is needed, so that ``--help`` is quick."""

    def __init__(self, settings: ClientSettings, output: Output) -> None:
        self.settings = settings
        self.output = output

    @property
    def profiles(self) -> ProfileFile:
        from modelyard.client.profile import ProfileFile

        return ProfileFile(self.settings.profile_file, self.output.warn)

    def ask(self, work: Callable[[Registry], Awaitable[Result]], *, patiently: bool = False) -> Result:
        """The result of ``work``, done with the registry that the settings or the profile mean."""
        from modelyard.client.connecting import LONG_PATIENCE_SECONDS, SHORT_PATIENCE_SECONDS, connected

        async def opened() -> Result:
            patience = LONG_PATIENCE_SECONDS if patiently else SHORT_PATIENCE_SECONDS
            async with await connected(self.settings, self.profiles, patience_seconds=patience) as registry:
                return await work(registry)

        return self.run(opened())

    def ask_anonymously(self, url: str, work: Callable[[Registry], Awaitable[Result]]) -> Result:
        """The result of ``work``, done with a registry that is not told who calls."""
        from modelyard.client.registry import Registry

        async def opened() -> Result:
            async with Registry(url) as registry:
                return await work(registry)

        return self.run(opened())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        import asyncio

        return asyncio.run(work)


def require_posix(command: str) -> None:
    """Windows keeps files that are open from being replaced, and has no folders opened by descriptor.

    Raises:
        ValueError: this is Windows.
    """
    if sys.platform == "win32":
        raise ValueError(f"{command} runs on Linux and macOS. On Windows: modelyard pull MODEL -o DIR --tree")


def terminal_of(context: typer.Context) -> Terminal:
    """The terminal that the global options made."""
    terminal = context.find_root().obj
    if not isinstance(terminal, Terminal):
        raise TypeError("The program was not started through its global options.")
    return terminal
