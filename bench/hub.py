"""A download by a client of Hugging Face from the registry's endpoint, against our own pull of the same file."""

import os
import shutil
import statistics
from pathlib import Path

from bench.processes import Measurement, read_into_page_cache, run_measured, sync_disks
from bench.table import Goal, Table
from bench.transfers import MODELYARD, build_transfer_rows
from tests.running import RunningServer
from tools.model_files import write_safetensors

HF = Path(".venv-hf-2/bin/hf").absolute()
PATH, REPOSITORY = "loras/large.safetensors", "team/loras__large.safetensors"


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Download one model with both programs ``rounds`` times, in turn; a first round is not counted.

    Both end with the file on the disk. Only our own compares its SHA-256.
    """
    if not HF.exists():
        raise SystemExit(f"Missing: {HF}. Run `make hf-clients` first, which installs it.")
    source = home / "large.safetensors"
    write_safetensors(source, size)
    with RunningServer(home / "data", log_level="warning") as server:
        environment = _build_environment(home, server)
        run_measured([MODELYARD, "--quiet", "push", str(source), "--path", PATH, "--wait"], environment)
        methods = {
            "modelyard pull": [MODELYARD, "--quiet", "pull", PATH, "-o", str(home / "fetched")],
            "hf download": [str(HF), "download", REPOSITORY, "--local-dir", str(home / "fetched")],
        }
        runs: dict[str, list[Measurement]] = {name: [] for name in methods}
        for number in range(rounds + 1):
            for name in sorted(methods, reverse=number % 2 == 1):
                read_into_page_cache(source)
                sync_disks()
                runs[name].append(_fetch(methods[name], environment, home / "fetched"))
    return _build_results({name: counted[1:] for name, counted in runs.items()}, size)


def _build_environment(home: Path, server: RunningServer) -> dict[str, str]:
    """Return the variables with which both programs use the registry, with a new key."""
    created = server.owner().post("/credentials", kind="integration", display_name="bench").json()
    ours = {"MODELYARD_CONFIG": str(home / "profiles.toml"), "MODELYARD_URL": server.url}
    theirs = {"HF_ENDPOINT": f"{server.url}/hf", "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    return os.environ | ours | theirs | {"MODELYARD_TOKEN": created["raw_key"], "HF_TOKEN": created["raw_key"]}


def _fetch(command: list[str], environment: dict[str, str], target: Path) -> Measurement:
    """Measure a download and a flush of the disks, and delete the files."""
    run = run_measured(["sh", "-ec", '"$@"; sync', "sh", *command], environment)
    shutil.rmtree(target)
    return run


def _build_results(runs: dict[str, list[Measurement]], size: int) -> tuple[list[Table], list[Goal]]:
    """Build the table, and the goal: the endpoint is at most a fifth slower than our own pull."""
    medians = {name: statistics.median(run.seconds for run in measured) for name, measured in runs.items()}
    ratio = medians["modelyard pull"] / medians["hf download"]
    columns = ["", "GB/s, median (range)", "client CPU s", "client peak MiB"]
    table = Table(
        f"Fetching {size / 2**30:g} GiB from the Hugging Face endpoint", columns, build_transfer_rows(runs, size)
    )
    return [table], [Goal("hf download / pull", ratio, 0.8)]
