"""The options of commands that transfer files: ``--limit-rate``, ``--give-up-after``, and those of a push."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from modelyard.client.durations import parse_duration
from modelyard.wire.search.sizes import parse_size

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.transfer.options import TransferOptions

# For --jobs: more share one connection to the registry and one disk.
MOST_JOBS = 16

LimitRate = Annotated[
    str | None, typer.Option("--limit-rate", metavar="SIZE", help="Transfer at most so much a second, such as 20MB.")
]


GiveUpAfter = Annotated[
    str | None,
    typer.Option(
        "--give-up-after",
        metavar="TIME",
        help="Give up after this long without data, such as 90s; by default MODELYARD_GIVE_UP_AFTER or 5m.",
    ),
]


class PushSettings(NamedTuple):
    """How many files a push handles at once, whether it waits for verification, and its network options.

    ``accepts_new_types``: types that are new to the team are used without a question. ``sidecars``: pictures beside the
    files are sent too. ``as_folder``: one folder is pushed as one model. ``dry_run``: nothing is sent or changed.
    """

    jobs: int
    wait: bool
    network: TransferOptions
    accepts_new_types: bool
    sidecars: bool
    as_folder: bool
    dry_run: bool


def build_network(terminal: Terminal, limit_rate: str | None, give_up_after: str | None) -> TransferOptions:
    """Build the network options of a transfer; ``--give-up-after`` is also stored in the terminal's settings.

    So it applies to later calls of the registry too.

    Raises:
        ValueError: the limit is not a size or is zero, or the time is not a duration.
    """
    from modelyard.transfer.options import BandwidthLimit, TransferOptions

    if give_up_after is not None:
        terminal.settings = replace(terminal.settings, give_up_seconds=parse_duration(give_up_after))
    limit = None if limit_rate is None else BandwidthLimit(parse_size(limit_rate))
    return TransferOptions(bandwidth_limit=limit, no_progress_timeout_seconds=terminal.settings.give_up_seconds)
