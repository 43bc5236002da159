"""Draw goals as a bar chart: ``python bench/plot.py CHART.svg`` with a file of results on its input.

Run by the Python of the bench environment, which has matplotlib. Each bar is what was measured as a multiple of the
goal, so that 1 and more is met, whichever direction the goal has.
"""

import json
import sys
from pathlib import Path

import matplotlib  # type: ignore[import-not-found]  # in the bench environment only

matplotlib.use("svg")
# The same goals give the same bytes; text stays text.
matplotlib.rcParams.update({"svg.hashsalt": "modelyard", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot  # noqa: E402 - after the backend is chosen

MET, MISSED = "#2f9e44", "#e8590c"


def draw(machine: str, goals: list[dict[str, str | float]], path: Path) -> None:
    """Write an SVG with one horizontal bar a goal, in the order of the results, below a line about the machine."""
    names = [f"{goal['name']}\n{goal['measured']:.2f}, goal {goal['sign']} {goal['bound']:g}" for goal in goals]
    shares = [float(goal["share_of_goal"]) for goal in goals]
    figure, axes = pyplot.subplots(figsize=(8, 0.6 * len(goals) + 0.8), layout="constrained")
    axes.barh(names, [share - 1 for share in shares], left=1, color=[MET if share >= 1 else MISSED for share in shares])
    axes.axvline(1, color="#495057", linewidth=1)
    axes.set_title(machine, fontsize=8, loc="left")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("times the goal (logarithmic): right of 1 is met")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    results = json.load(sys.stdin)
    draw(results["machine"], results["goals"], Path(sys.argv[1]))
