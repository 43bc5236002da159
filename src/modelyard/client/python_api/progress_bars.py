"""Progress bars of transfers in notebooks and scripts, by tqdm where it is installed."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelyard.client.transfers.push_results import PushEvent
from modelyard.transfer.progress import Hashed, Received, Sent, ignore_progress

OnEvent = Callable[[PushEvent], None]
_VERBS = {Hashed: "hashing", Sent: "sending", Received: "pulling"}


@contextmanager
def open_progress(wanted: bool | None) -> Iterator[OnEvent]:
    """Yield a callback for the events of one transfer, which draws them; it does nothing if no bars are wanted.

    None: bars where tqdm is installed and a person looks on, in a notebook or at a terminal.

    Raises:
        ModuleNotFoundError: bars are wanted, and tqdm is not installed.
    """
    is_shown = wanted if wanted is not None else _is_watched() and importlib.util.find_spec("tqdm") is not None
    if not is_shown:
        yield ignore_progress
        return
    bars = _Bars()
    try:
        yield bars.show
    finally:
        bars.close()


class _Bars:
    """One bar at a time, for the stage that a transfer is in."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self._build = tqdm
        self._bar: tqdm[None] | None = None
        self._verb = ""

    def show(self, event: PushEvent) -> None:
        """Draw the done bytes of an event in a bar; an event of another stage closes the bar and opens another.

        Other events are ignored.
        """
        verb = _VERBS.get(type(event))
        if verb is None or not isinstance(event, Hashed | Sent | Received):
            return
        if verb != self._verb or self._bar is None:
            self.close()
            self._verb = verb
            description = f"{verb} {event.path.name}"
            self._bar = self._build(total=event.total, desc=description, unit="B", unit_scale=True)
        self._bar.update(event.done - self._bar.n)

    def close(self) -> None:
        """End the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.close()


def _is_watched() -> bool:
    """Return whether a person looks on: in a notebook or at a terminal."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()
