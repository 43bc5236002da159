"""Goals of several runs in files, so that one chart shows all of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.table import Goal


@dataclass(frozen=True)
class Results:
    """Goals as they were measured on one machine, each once, in the order of the runs."""

    machine: str
    goals: tuple[Goal, ...]

    def with_newer(self, newer: "Results") -> "Results":
        """Return these results with those of a newer run, which replace goals of the same name.

        Raises:
            ValueError: they are of different machines, so one chart would compare what cannot be compared.
        """
        if newer.machine != self.machine:
            raise ValueError(f"The results are of two machines: {self.machine}; {newer.machine}.")
        merged = {goal.name: goal for goal in (*self.goals, *newer.goals)}
        return Results(self.machine, tuple(merged.values()))

    def as_json(self) -> str:
        """Return the text of a results file, which is also what ``bench/plot.py`` reads."""
        goals = [goal.as_json() for goal in self.goals]
        return json.dumps({"machine": self.machine, "goals": goals}, indent=2) + "\n"


def save_results(file: Path, results: Results) -> Results:
    """Add results to those in a file, which is made if it is missing, and return all that it has then.

    The file has the old results or the new ones, also if the program is killed.

    Raises:
        ValueError: the file has results of another machine.
    """
    merged = read_saved_results(file, results.machine).with_newer(results)
    written = file.with_name(f".{file.name}.new")
    written.write_text(merged.as_json(), encoding="utf-8")
    written.replace(file)
    return merged


def read_saved_results(file: Path, machine: str) -> Results:
    """Return the results in a file to which those of a run on ``machine`` are added; none if it is missing.

    Raises:
        ValueError: the file has results of another machine.
    """
    none = Results(machine, ())
    return read_results(file).with_newer(none) if file.exists() else none


def read_results(file: Path) -> Results:
    """Return the results in a file that ``save_results`` has written."""
    document = json.loads(file.read_text(encoding="utf-8"))
    return Results(document["machine"], tuple(Goal.from_json(goal) for goal in document["goals"]))


def merge_results(files: Sequence[Path]) -> Results:
    """Return the results of all files, where a later file replaces goals of the same name.

    Raises:
        ValueError: they are of different machines.
    """
    merged = read_results(files[0])
    for file in files[1:]:
        merged = merged.with_newer(read_results(file))
    return merged
