"""Push and pull of one large file, against the lower bound of the same work, and against curl, nginx and aria2."""

import os
import shutil
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import push_lower_bound
from bench.nginx import Nginx
from bench.processes import Measurement, read_into_page_cache, read_peak_bytes, run_measured, sync_disks
from bench.table import Goal, Table, format_spread
from tests.running import OWNER, RunningServer
from tests.server.harness import PASSWORD
from tools.model_files import write_safetensors

MODELYARD = str(Path(sys.executable).with_name("modelyard"))
MEBIBYTE = 2**20


@dataclass
class TransferBench:
    """What all runs share."""

    home: Path
    size: int
    server: RunningServer
    nginx: Nginx
    environment: dict[str, str]

    def get_source(self, number: int) -> Path:
        """Return the model file of this run, written when first needed; content differs, as it is stored only once."""
        path = self.home / f"source-{number}.safetensors"
        if not path.exists():
            write_safetensors(path, self.size)
        return path

    def modelyard(self, *arguments: str) -> Measurement:
        return run_measured([MODELYARD, "--quiet", *arguments], self.environment)


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Run every method ``rounds`` times, in an order that rotates."""
    with RunningServer(home / "data", log_level="warning") as server, Nginx(home / "nginx") as nginx:
        environment = os.environ | {"MODELYARD_CONFIG": str(home / "profiles.toml")}
        shared = TransferBench(home, size, server, nginx, environment)
        _sign_in(shared)
        pushes = _run_alternately(
            shared,
            {"limit": _measure_lower_bound, "modelyard push": _measure_push, "curl to nginx": _measure_curl_upload},
            rounds,
        )
        repeated_push = shared.modelyard("push", str(shared.get_source(0)), "--path", "loras/again.safetensors")
        received_before = _read_received_bytes(server)
        shared.modelyard("push", str(shared.get_source(0)), "--path", "loras/once-more.safetensors")
        bytes_sent_again = _read_received_bytes(server) - received_before
        pulls = _run_alternately(
            shared,
            {
                "modelyard pull": _measure_pull,
                "curl, then sha256sum": _measure_curl_download,
                "aria2c -x4, then sha256sum": _measure_aria2c,
                "curl, nothing checked": _measure_unchecked_curl_download,
            },
            rounds,
        )
        server_peak = read_peak_bytes(server.pid)
    return _build_tables(pushes, pulls, size, repeated_push), _build_goals(pushes, pulls, server_peak, bytes_sent_again)


def _sign_in(shared: TransferBench) -> None:
    """Sign the command line in as the owner."""
    password = shared.home / "password"
    password.write_text(PASSWORD)
    command = f"{MODELYARD} login {shared.server.url} {OWNER} --password-stdin < {password}"
    run_measured(["sh", "-c", command], shared.environment)


def _run_alternately(
    shared: TransferBench, methods: dict[str, Callable[[TransferBench, int], Measurement]], rounds: int
) -> dict[str, list[Measurement]]:
    """Run every method in each round; an additional first one, slower as its memory is new, is not counted."""
    measurements: dict[str, list[Measurement]] = {name: [] for name in methods}
    names = list(methods)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            read_into_page_cache(shared.get_source(number))
            sync_disks()
            measurements[name].append(methods[name](shared, number))
    return {name: runs[1:] for name, runs in measurements.items()}


def _measure_lower_bound(shared: TransferBench, number: int) -> Measurement:
    """Measure the minimal sender and receiver on the same file."""
    target = shared.home / "limit.bin"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = threading.Thread(target=push_lower_bound.receive, args=(listener, target, shared.size))
        began, cpu = time.perf_counter(), time.process_time()
        receiver.start()
        port = str(listener.getsockname()[1])
        sender = run_measured(
            [sys.executable, "-m", "bench.push_lower_bound", "send", port, str(shared.get_source(number))]
        )
        receiver.join()
        run = Measurement(
            time.perf_counter() - began, sender.cpu_seconds + time.process_time() - cpu, sender.peak_bytes
        )
    target.unlink()
    return run


def _measure_push(shared: TransferBench, number: int) -> Measurement:
    return shared.modelyard("push", str(shared.get_source(number)), "--path", f"loras/pushed-{number}.safetensors")


def _measure_curl_upload(shared: TransferBench, number: int) -> Measurement:
    """Measure curl's PUT of the file to nginx, and delete the uploaded file."""
    url = f"{shared.nginx.url}/put-{number}.bin"
    run = run_measured(["curl", "-sSf", "-T", str(shared.get_source(number)), "-H", "Expect:", url])
    (shared.nginx.files / f"put-{number}.bin").unlink()
    return run


def _measure_pull(shared: TransferBench, number: int) -> Measurement:
    """Measure a pull of the file pushed in this round, and delete it."""
    target = shared.home / "pulled"
    run = shared.modelyard("pull", f"loras/pushed-{number}.safetensors", "-o", str(target))
    shutil.rmtree(target)
    return run


def _measure_shell_download(shared: TransferBench, number: int, command: str) -> Measurement:
    """Measure a shell command with ``{url}``, ``{target}`` and ``{home}``; nginx reads the file from the page cache."""
    name = f"get-{number}.bin"
    if not (shared.nginx.files / name).exists():
        os.link(shared.get_source(number), shared.nginx.files / name)
    target = shared.home / "fetched"
    run = run_measured(["sh", "-ec", command.format(url=f"{shared.nginx.url}/{name}", target=target, home=shared.home)])
    target.unlink()
    return run


def _measure_curl_download(shared: TransferBench, number: int) -> Measurement:
    return _measure_shell_download(shared, number, "curl -sSf -o {target} {url}; sync {target}; sha256sum {target}")


def _measure_unchecked_curl_download(shared: TransferBench, number: int) -> Measurement:
    return _measure_shell_download(shared, number, "curl -sSf -o {target} {url}; sync {target}")


def _measure_aria2c(shared: TransferBench, number: int) -> Measurement:
    return _measure_shell_download(
        shared, number, "aria2c -q -x4 -s4 -d {home} -o fetched {url}; sync {target}; sha256sum {target}"
    )


def _read_received_bytes(server: RunningServer) -> float:
    text = server.client().get("/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("modelyard_received_bytes_total"))
    return float(line.split()[1])


def _build_tables(
    pushes: dict[str, list[Measurement]], pulls: dict[str, list[Measurement]], size: int, repeated_push: Measurement
) -> list[Table]:
    """Build the tables of uploads and downloads."""
    columns = ["", "GB/s, median (range)", "client CPU s", "client peak MiB"]
    repeated_row = [
        "modelyard push of known bytes",
        f"{repeated_push.seconds:.2f} s in all",
        f"{repeated_push.cpu_seconds:.2f}",
        "-",
    ]
    return [
        Table(f"Sending {size / 2**30:g} GiB", columns, [*build_transfer_rows(pushes, size), repeated_row]),
        Table(f"Fetching {size / 2**30:g} GiB", columns, build_transfer_rows(pulls, size)),
    ]


def build_transfer_rows(measurements: dict[str, list[Measurement]], size: int) -> list[list[str]]:
    """Build one table row for each method."""
    return [
        [
            name,
            format_spread([size / 1e9 / run.seconds for run in runs]),
            f"{statistics.median(run.cpu_seconds for run in runs):.2f}",
            f"{max(run.peak_bytes for run in runs) / MEBIBYTE:.0f}",
        ]
        for name, runs in measurements.items()
    ]


def _build_goals(
    pushes: dict[str, list[Measurement]], pulls: dict[str, list[Measurement]], server_peak: int, bytes_sent_again: float
) -> list[Goal]:
    """Build the goals: ratios against the lower bound and curl, peak memory, and bytes sent again."""

    def seconds(runs: list[Measurement]) -> float:
        return statistics.median(run.seconds for run in runs)

    clients = pushes["modelyard push"] + pulls["modelyard pull"]
    client_peak = max(run.peak_bytes for run in clients) / MEBIBYTE
    push, pull = seconds(pushes["modelyard push"]), seconds(pulls["modelyard pull"])
    return [
        Goal("push / limit for the same work", seconds(pushes["limit"]) / push, 0.8),
        Goal("pull / (curl, then sha256sum)", seconds(pulls["curl, then sha256sum"]) / pull, 1.2),
        Goal("client peak RSS, MiB", client_peak, 200, at_least=False),
        Goal("server peak RSS, MiB", server_peak / MEBIBYTE, 200, at_least=False),
        Goal(
            "KiB received when known bytes are pushed again (requests only)", bytes_sent_again / 1024, 8, at_least=False
        ),
    ]
