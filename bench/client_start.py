"""CPU time of short client commands, as a multiple of that of a bare interpreter (`python -c pass`).

`python -m bench.client_start [SRC]...` runs seven rounds of all commands against a registry on loopback, and prints the
table. With several folders of sources, such as that of an older commit, each round runs every command of each.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench.processes import run_measured
from bench.table import Table, describe_machine
from tests.client.model_files import write_model_file
from tests.client.server_process import run_server

ROUNDS, GOAL = 7, 18.0
BARE = ("-c", "pass")
COMMANDS = (
    *(BARE, ("-m", "modelyard", "--help"), ("-m", "modelyard", "push", "--help")),
    *(("-m", "modelyard", *words) for words in (("ls",), ("show", "loras/ink.safetensors"), ("facets",), ("whoami",))),
)


def main() -> None:
    """Start a registry with one model, measure the commands of all sources in turn, and print the median of each."""
    sources = [Path(each).resolve() for each in sys.argv[1:]] or [Path("src").resolve()]
    with tempfile.TemporaryDirectory() as folder, run_server(Path(folder) / "server") as server:
        team = server.new_team()
        # As after an installation, the modules are compiled.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"HOME": folder, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        environment |= {"MODELYARD_URL": team.url, "MODELYARD_TOKEN": team.token, "MODELYARD_TEAM": team.id}
        model = write_model_file(Path(folder) / "models" / "loras" / "ink.safetensors")
        run_measured([sys.executable, "-m", "modelyard", "push", str(model)], environment)
        medians = _measure(environment, sources)
    rows = [
        [" ".join(command), *(f"{medians[command, source] / medians[BARE, source]:.1f}" for source in sources)]
        for command in COMMANDS
    ]
    title = f"CPU time of client commands, in times of a bare interpreter, medians of {ROUNDS} runs; goal {GOAL:g}"
    sys.stdout.write(f"{describe_machine()}\n\n{Table(title, ['', *map(str, sources)], rows).as_markdown()}\n")


def _measure(environment: dict[str, str], sources: list[Path]) -> dict[tuple[tuple[str, ...], Path], float]:
    """Return the median of the CPU seconds of each command of each source; a round before them compiles the modules."""
    seconds: dict[tuple[tuple[str, ...], Path], list[float]] = {}
    for _ in range(1 + ROUNDS):
        for command in COMMANDS:
            for source in sources:
                ran = run_measured([sys.executable, *command], environment | {"PYTHONPATH": str(source)})
                seconds.setdefault((command, source), []).append(ran.cpu_seconds)
    return {key: statistics.median(each[1:]) for key, each in seconds.items()}


if __name__ == "__main__":
    main()
