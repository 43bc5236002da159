"""``collection rollout``: start, follow, approve, stop and roll back the roll-out of a version of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from modelyard.cli.registry.collections.rollout_output import describe_change, describe_waiting, print_rollout
from modelyard.cli.registry.collections.subscriptions import CollectionName
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.collections import Collection
    from modelyard.wire.collections.rollouts import Rollout, RolloutAction

    Find = Callable[[RegistryApi, Collection], Awaitable[Rollout]]

# The exit code of a roll-out that failed, or that did not finish on all machines.
_NOT_FINISHED = 1
# As timeout(1) of coreutils.
_TIMED_OUT = 124
# In these states, everything went as it should.
_GOOD_STATES = ("canary", "waiting_for_approval", "rolling_out", "finished")

rollout = typer.Typer(
    no_args_is_help=True, help="Roll out a version of a collection: first to some machines, then to all."
)
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it has ended, or waits for you.")]
TimeoutOption = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="With --wait: how long at most, as 30m; then the exit code is 124."),
]


@rollout.command("start")
def start_rollout(
    context: typer.Context,
    name: CollectionName,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Which version; by default the newest.")
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Machines with this label get it first; without it, all at once."),
    ] = None,
    automatic: Annotated[
        bool, typer.Option("--automatic", help="Go on to all machines as soon as the canaries are ready.")
    ] = False,
    min_ready: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, help="How long the canaries must be ready before.")
    ] = 0,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Start to roll out a version of a collection to the machines that are subscribed to it.

    Hold the collection first, so that machines do not get new versions at once: modelyard collection hold NAME

    Examples: modelyard collection rollout start "Winter campaign" --canary canary; modelyard collection rollout start
    Portraits --version 2 --wait
    """
    from modelyard.client.waiting.rollouts import get_last_rollout
    from modelyard.wire.collections.rollouts import NewRollout

    async def start(registry: RegistryApi, found: Collection) -> Rollout:
        """Start the roll-out and return it."""
        await registry.start_rollout(
            found.id,
            NewRollout(
                version=version or found.version,
                canary_label=canary,
                is_automatic=automatic,
                min_ready_seconds=min_ready,
            ),
        )
        return await get_last_rollout(registry, found)

    _run(context, name, start, _parse_wait(wait=wait, timeout=timeout))


@rollout.command("status")
def show_rollout(
    context: typer.Context, name: CollectionName, wait: WaitOption = False, timeout: TimeoutOption = None
) -> None:
    """Show the last roll-out of a collection and its machines; with --wait, follow it."""
    from modelyard.client.waiting.rollouts import get_last_rollout

    _run(context, name, get_last_rollout, _parse_wait(wait=wait, timeout=timeout))


@rollout.command("approve")
def approve_rollout(
    context: typer.Context,
    name: CollectionName,
    without_canaries: Annotated[
        bool, typer.Option("--without-canaries", help="Go on although all canaries are offline or gone.")
    ] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Let a roll-out go on to all subscribed machines.

    If all canaries are offline or gone, nothing was tested: then it goes on with --without-canaries only.
    """
    from modelyard.client.waiting.rollouts import get_last_rollout
    from modelyard.wire.collections.rollouts import RolloutApproval

    async def approve(registry: RegistryApi, found: Collection) -> Rollout:
        """Approve the roll-out and return it."""
        last = await get_last_rollout(registry, found)
        await registry.approve_rollout(found.id, last.id, RolloutApproval(without_canaries=without_canaries))
        return await registry.get_rollout(found.id, last.id)

    _run(context, name, approve, _parse_wait(wait=wait, timeout=timeout))


@rollout.command("stop")
def stop_rollout(context: typer.Context, name: CollectionName) -> None:
    """Stop a roll-out. Machines that got the version keep it."""
    _run(context, name, _build_change("stop"))


@rollout.command("roll-back")
def roll_back_rollout(context: typer.Context, name: CollectionName) -> None:
    """Give all subscribed machines the version before the last roll-out."""
    _run(context, name, _build_change("roll-back"))


def _build_change(action: RolloutAction) -> Find:
    """Return a function that changes the last roll-out of a collection, and returns it."""
    from modelyard.client.waiting.rollouts import get_last_rollout

    async def change(registry: RegistryApi, found: Collection) -> Rollout:
        """Change the roll-out and return it."""
        last = await get_last_rollout(registry, found)
        await registry.change_rollout(found.id, last.id, action)
        return await registry.get_rollout(found.id, last.id)

    return change


class _Wait(NamedTuple):
    """Whether to wait for a roll-out, and for how long at most."""

    is_asked: bool = False
    timeout_seconds: float | None = None


_NO_WAIT = _Wait()


def _parse_wait(*, wait: bool, timeout: str | None) -> _Wait:
    """Return how to wait for a roll-out.

    Raises:
        BadParameter: there is a time without ``--wait``, or it is not a duration.
    """
    from modelyard.client.durations import parse_duration

    if timeout is None:
        return _Wait(wait)
    if not wait:
        raise typer.BadParameter("--timeout needs --wait.")
    try:
        return _Wait(wait, parse_duration(timeout))
    except ValueError as invalid:
        raise typer.BadParameter(str(invalid)) from None


def _run(context: typer.Context, name: str, find: Find, wait: _Wait = _NO_WAIT) -> None:
    """Find the collection, start, change or read its roll-out, perhaps wait for it, and print it.

    Raises:
        Exit: after waiting: with ``_NOT_FINISHED`` if it failed or was stopped, or machines lack the version; with
            ``_TIMED_OUT`` if it has not ended in time.
    """
    from modelyard.client.waiting.rollouts import needs_person

    terminal = terminal_of(context)
    found, last = terminal.call_registry(lambda registry: _follow(terminal, registry, (name, find), wait))
    print_rollout(terminal, found, last)
    if not wait.is_asked:
        return
    if not needs_person(last):
        terminal.output.note(f"The time is over. The roll-out continues. {describe_waiting(last)}")
        raise typer.Exit(_TIMED_OUT)
    if not _is_good(last):
        raise typer.Exit(_NOT_FINISHED)


async def _follow(
    terminal: Terminal, registry: RegistryApi, what: tuple[str, Find], wait: _Wait
) -> tuple[Collection, Rollout]:
    """Return the collection and its roll-out; while it waits, print each change on standard error."""
    from modelyard.client.collections import find_collection
    from modelyard.client.waiting.rollouts import wait_for_rollout

    name, find = what
    found = await find_collection(registry, name)
    last = await find(registry, found)
    if wait.is_asked:
        last = await wait_for_rollout(registry, last, _Reporter(terminal), wait.timeout_seconds)
    return found, last


class _Reporter:
    """Prints what happens to a roll-out on standard error."""

    def __init__(self, terminal: Terminal) -> None:
        self._output = terminal.output

    def on_change(self, rollout: Rollout) -> None:
        """Print the state and the numbers of machines."""
        self._output.note(describe_change(rollout))

    def on_failure(self, sentence: str) -> None:
        """Print that the registry does not answer, also with ``--quiet``."""
        self._output.warn(sentence)


def _is_good(last: Rollout) -> bool:
    """Return whether a roll-out goes well: it was not ended early, can go on, and no machine failed."""
    failed = 0 if last.progress is None else last.progress.canaries.failed + last.progress.others.failed
    return last.state in _GOOD_STATES and not failed and last.obstacle is None
