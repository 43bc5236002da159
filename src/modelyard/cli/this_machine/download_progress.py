"""Progress of an agent's or a sync's downloads: bars on a terminal, lines in a log."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_size
from modelyard.cli.terminal.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from modelyard.cli.terminal.output import Output
    from modelyard.cli.terminal.progress import ProgressView
    from modelyard.sync.apply.replica_states import OnReplicaState, ReplicaState

log = logging.getLogger("modelyard.agent")


def make_progress_listener(view: ProgressView) -> OnReplicaState:
    """Return a listener that shows downloads, and removes a file from the display when its download has ended."""
    from modelyard.transfer.progress import Received

    def draw(replica_state: ReplicaState) -> None:
        """Draw the progress of a download, or remove it once it has ended."""
        path = Path(replica_state.model_path)
        if replica_state.state == "downloading":
            view.show(Received(path, replica_state.bytes_done, replica_state.size))
        elif replica_state.state != "verifying":
            view.remove(path)

    return draw


@contextmanager
def show_agent_progress(output: Output) -> Iterator[OnReplicaState]:
    """Yield a listener that shows downloads as other commands do; without bars, it also logs the start of each.

    The log is printed above the bars. Its lines about models that were placed are the agent's own.
    """
    with show_progress(output) as view:
        show = make_progress_listener(view)
        if output.shows_bars:
            with _logging_above(view):
                yield show
        else:
            started: set[UUID] = set()

            def log_start(replica_state: ReplicaState) -> None:
                """Log a download that begins, then show it; the first state of a small one is ``verifying``."""
                if replica_state.state in ("downloading", "verifying") and replica_state.model_id not in started:
                    started.add(replica_state.model_id)
                    log.info("%s: downloading %s", replica_state.model_path, format_size(replica_state.size))
                show(replica_state)

            yield log_start


class _AboveBars(logging.Handler):
    """Passes records to other handlers while the bars of a view are hidden."""

    def __init__(self, view: ProgressView, handlers: Sequence[logging.Handler]) -> None:
        super().__init__()
        self._view, self._handlers = view, handlers

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record above the bars."""
        for handler in self._handlers:
            self._view.print_above(partial(handler.handle, record))


@contextmanager
def _logging_above(view: ProgressView) -> Iterator[None]:
    """Print the log above the bars of a view during the block."""
    root = logging.getLogger()
    handlers = root.handlers
    root.handlers = [_AboveBars(view, handlers)]
    try:
        yield
    finally:
        root.handlers = handlers
