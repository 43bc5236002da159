"""An import from a source on loopback, against curl, fsync and sha256sum of the same file."""

import os
import shutil
import statistics
import time
from pathlib import Path

from bench.nginx import Nginx
from bench.processes import (
    Measurement,
    read_cpu_seconds,
    read_into_page_cache,
    read_peak_bytes,
    run_measured,
    sync_disks,
)
from bench.table import Goal, Table
from bench.transfers import build_transfer_rows
from tests.running import RunningServer
from tools.model_files import write_safetensors

NAME, PATH = "large.safetensors", "loras/large.safetensors"
# Each poll costs the server some milliseconds of CPU; real clients poll less often.
_POLL_SECONDS, _DEADLINE_SECONDS = 0.1, 3600.0


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Fetch one file from nginx with both methods ``rounds`` times, in turn; a first round is not counted.

    Ours ends when the model is registered and verified, curl's when the file is on the disk and hashed.
    """
    runs: dict[str, list[Measurement]] = {"modelyard import": [], "curl, fsync, sha256sum": []}
    with Nginx(home / "nginx") as nginx:
        source = nginx.files / NAME
        write_safetensors(source, size)
        methods = {
            "modelyard import": lambda: _measure_import(home, nginx, size),
            "curl, fsync, sha256sum": lambda: _measure_curl(home, nginx),
        }
        for number in range(rounds + 1):
            for name in sorted(methods, reverse=number % 2 == 1):
                read_into_page_cache(source)
                sync_disks()
                runs[name].append(methods[name]())
    return _build_results({name: counted[1:] for name, counted in runs.items()}, size)


def _measure_import(home: Path, nginx: Nginx, size: int) -> Measurement:
    """Measure an import into a new registry, from the request to the verified model; CPU and memory are the server's.

    Raises:
        RuntimeError: the import failed.
    """
    with RunningServer(home / "data", log_level="warning", import_hosts=f"127.0.0.1:{nginx.port}") as server:
        owner = server.owner()
        body = {"url": f"{nginx.url}/{NAME}", "file_size": size, "display_name": "Large"}
        cpu_before, began = read_cpu_seconds(server.pid), time.perf_counter()
        import_id = owner.post("/imports", **body, model_type="loras", model_path=PATH).json()["id"]
        while (found := owner.get(f"/imports/{import_id}").json())["import_state"] in ("queued", "running"):
            if time.perf_counter() > began + _DEADLINE_SECONDS:
                raise RuntimeError("The import takes too long.")
            time.sleep(_POLL_SECONDS)
        if found["import_state"] != "done":
            raise RuntimeError(f"The import failed: {found['error']}")
        while owner.get(f"/models/{found['model_id']}").json()["verification"] == "pending":
            if time.perf_counter() > began + _DEADLINE_SECONDS:
                raise RuntimeError("The verification takes too long.")
            time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - began
        run = Measurement(seconds, read_cpu_seconds(server.pid) - cpu_before, read_peak_bytes(server.pid))
    shutil.rmtree(server.data_dir)
    return run


def _measure_curl(home: Path, nginx: Nginx) -> Measurement:
    """Measure a download with curl, a flush of the file, and its SHA-256; then delete the file."""
    target = home / "fetched.safetensors"
    script = 'curl --silent --show-error --fail -o "$1" "$2"; sync "$1"; sha256sum "$1"'
    run = run_measured(["sh", "-ec", script, "sh", str(target), f"{nginx.url}/{NAME}"], dict(os.environ))
    target.unlink()
    return run


def _build_results(runs: dict[str, list[Measurement]], size: int) -> tuple[list[Table], list[Goal]]:
    """Build the table, and the goal: the import is at least as fast as the other programs."""
    ours, theirs = (statistics.median(run.seconds for run in measured) for measured in runs.values())
    columns = ["", "GB/s, median (range)", "CPU s", "peak MiB"]
    table = Table(f"Importing {size / 2**30:g} GiB from nginx", columns, build_transfer_rows(runs, size))
    return [table], [Goal("import / curl, fsync, sha256sum", theirs / ours, 1.0)]
