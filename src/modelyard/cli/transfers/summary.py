"""The last line of a transfer of several files."""

from collections import Counter
from collections.abc import Sequence

from modelyard.cli.terminal.formatting import format_duration, format_size


def format_summary(outcomes: Sequence[str], transferred: int, seconds: float) -> str | None:
    """Return a line such as ``12 files: 10 registered, 2 already there. 6.8 GB in 1:02, 110 MB/s.``.

    None for a single file, whose own line says it all.
    """
    if len(outcomes) < 2:
        return None
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes).items())
    rate = f", {format_size(round(transferred / max(seconds, 0.001)))}/s" if transferred else ""
    size = format_size(transferred) if transferred else "Nothing transferred"
    return f"{len(outcomes)} files: {counts}. {size} in {format_duration(seconds)}{rate}."
