"""Tables and goals of the benchmarks, printed as Markdown, as in docs/performance.md."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Table:
    """A titled table whose cells are texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        lines = [f"### {self.title}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join(lines + [_line(row) for row in self.rows])


@dataclass(frozen=True)
class Goal:
    """A measured value and its bound: a minimum if ``at_least``, else a maximum."""

    name: str
    measured: float
    bound: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    @property
    def sign(self) -> str:
        return ">=" if self.at_least else "<="

    @property
    def share_of_goal(self) -> float:
        """How many times the goal is reached: 1 and more is met. A measured zero that should be small counts as 100."""
        return self.measured / self.bound if self.at_least else min(self.bound / max(self.measured, 1e-9), 100)

    def as_row(self) -> list[str]:
        return [self.name, f"{self.measured:.2f}", f"{self.sign} {self.bound:g}", "met" if self.is_met else "MISSED"]

    def as_json(self) -> dict[str, str | float]:
        """Return the goal as it is in a file of results; see ``bench/results.py``."""
        return {
            "name": self.name,
            "measured": self.measured,
            "bound": self.bound,
            "sign": self.sign,
            "share_of_goal": self.share_of_goal,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Return the goal of such an entry."""
        return cls(entry["name"], entry["measured"], entry["bound"], at_least=entry["sign"] == ">=")


def build_goals_table(goals: Sequence[Goal]) -> Table:
    return Table("Goals", ["what", "measured", "goal", ""], [goal.as_row() for goal in goals])


def format_spread(values: Sequence[float]) -> str:
    """Format the median and the range of values, such as ``1.20 (1.10-1.40)``."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def describe_machine() -> str:
    """Describe this machine's processor, memory, kernel and Python in one line, without its host name."""
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
