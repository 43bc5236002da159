"""The context of a command: its settings, its output, the profile file, and calls of the registry."""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from modelyard.cli.terminal.formatting import format_scope, quote_word
from modelyard.cli.terminal.output import Output

if TYPE_CHECKING:
    from modelyard.cli.terminal.remedies.typed_command import TypedCommand
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.profile import ProfileFile
    from modelyard.client.settings import ClientSettings

Result = TypeVar("Result")
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for a confirmation.")]


class Terminal:
    """One run of the program. Heavy modules are imported at their first use, so that ``--help`` is quick.

    ``url_option`` and ``team_option`` are the values of ``--url`` and ``--team``; those of ``settings`` may also come
    from the environment. ``read_typed`` returns the typed command, for remedies.
    """

    def __init__(
        self,
        settings: ClientSettings,
        output: Output,
        url_option: str | None = None,
        read_typed: Callable[[], TypedCommand | None] = lambda: None,
        team_option: str | None = None,
    ) -> None:
        self.settings = settings
        self.output = output
        self.url_option = url_option
        self.read_typed = read_typed
        self._scope = format_scope(url_option, team_option)

    def format_command(self, *words: object) -> str:
        """Return a command of this program that can be pasted: with the typed ``--url`` and ``--team``."""
        return f"modelyard {self._scope}{' '.join(quote_word(str(word)) for word in words)}"

    @property
    def profiles(self) -> ProfileFile:
        """The profile file that the settings name; warnings about it are printed."""
        from modelyard.client.profile import ProfileFile

        return ProfileFile(self.settings.profile_file, self.output.warn)

    @property
    def can_ask(self) -> bool:
        """Whether a question can be asked: at a terminal, unless the output is JSON."""
        return self.output.style != "json" and sys.stdin.isatty()

    def call_registry(
        self, work: Callable[[RegistryApi], Awaitable[Result]], *, retry_until_give_up: bool = False
    ) -> Result:
        """Run ``work`` with the registry that the settings or the profile select, and return its result.

        Idempotent calls are retried for 4 seconds, or with ``retry_until_give_up`` for the time that the settings give
        (5 minutes by default), with a note on standard error meanwhile. Raises as ``build_registry`` and ``work``.
        """
        from modelyard.client.api.http import DEFAULT_RETRY_SECONDS
        from modelyard.client.session import build_registry

        async def run_in_registry() -> Result:
            """Build and enter the registry client, and await ``work`` with it."""
            seconds = self.settings.give_up_seconds if retry_until_give_up else DEFAULT_RETRY_SECONDS
            notify = self.output.note if retry_until_give_up else None
            async with await build_registry(
                self.settings, self.profiles, retry_seconds=seconds, notify=notify
            ) as registry:
                return await work(registry)

        return self.run(run_in_registry())

    def call_anonymously(self, url: str, work: Callable[[RegistryApi], Awaitable[Result]]) -> Result:
        """Run ``work`` with the registry at ``url`` without authentication, and return its result.

        Idempotent calls are retried for 4 seconds.
        """
        from modelyard.client.api.registry import RegistryApi

        async def run_in_registry() -> Result:
            """Enter the registry client, and await ``work`` with it."""
            async with RegistryApi(url) as registry:
                return await work(registry)

        return self.run(run_in_registry())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run ``work`` on a new event loop and return its result; see ``interrupting`` for Ctrl-C.

        If the program has disabled the garbage collector for its start, it is enabled again, without what was imported.
        """
        import asyncio

        from modelyard.cli.terminal.interrupting import bounded_after_interrupt

        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return asyncio.run(bounded_after_interrupt(work))


def require_posix(command: str) -> None:
    """Check that this is not Windows, where this command is untested.

    Raises:
        ValueError: this is Windows; the message has the command to use there.
    """
    if sys.platform == "win32":
        raise ValueError(f"{command} runs on Linux and macOS. On Windows: modelyard pull MODEL -o DIR --tree")


def terminal_of(context: typer.Context) -> Terminal:
    """Return the ``Terminal`` that the program's root command has built from the global options.

    Raises:
        TypeError: the program was not started through its root command.
    """
    terminal = context.find_root().obj
    if not isinstance(terminal, Terminal):
        raise TypeError("The program was not started through its global options.")
    return terminal
