"""Time that passes at once."""

from pathlib import Path

from modelyard.client.sync.holding.state import StateFile


def aged(file: Path, seconds: float) -> None:
    """Have what a state file remembers of removals be older by so much."""
    with StateFile(file) as state, state.transaction() as database:
        database.execute("UPDATE removals SET removed_at = removed_at - ?", (seconds,))
