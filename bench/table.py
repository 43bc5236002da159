"""What a bench measured, as a table for people and for docs/performance.md."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """Named rows under named columns; every cell is text already."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        lines = [f"### {self.title}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join(lines + [_line(row) for row in self.rows])


@dataclass(frozen=True)
class Goal:
    """A ratio and what it should be: ``at_least`` or else ``at_most``."""

    name: str
    found: float
    bound: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    def as_row(self) -> list[str]:
        sign = ">=" if self.at_least else "<="
        return [self.name, f"{self.found:.2f}", f"{sign} {self.bound:g}", "met" if self.is_met else "MISSED"]


def goals_table(goals: Sequence[Goal]) -> Table:
    return Table("Goals", ["what", "found", "goal", ""], [goal.as_row() for goal in goals])


def spread(values: Sequence[float]) -> str:
    """Median and range, in the unit of the values."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def machine() -> str:
    """The machine in one line, without a name that only its owner knows."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {system}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
