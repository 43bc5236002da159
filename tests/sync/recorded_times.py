"""Change recorded times, so that tests need not wait."""

from pathlib import Path

from modelyard.sync.inventory.state_db import StateFile


def age_removals(file: Path, seconds: float) -> None:
    """Make the removals recorded in a state file ``seconds`` older."""
    with StateFile(file) as state, state.transaction() as database:
        database.execute("UPDATE removals SET removed_at = removed_at - ?", (seconds,))
