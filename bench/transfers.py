"""Push and pull of one large file, against the limit and against curl, nginx and aria2."""

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

from bench import limit
from bench.peers import Nginx
from bench.processes import Run, measured, peak_bytes, settle, warm
from bench.table import Goal, Table, spread
from tests.running import OWNER, RunningServer
from tests.server.world import PASSWORD
from tools.model_files import write_safetensors

MODELYARD = str(Path(sys.executable).with_name("modelyard"))
MEBIBYTE = 2**20


@dataclass
class Ground:
    """Everything that the runs share."""

    home: Path
    size: int
    server: RunningServer
    nginx: Nginx
    environment: dict[str, str]

    def source(self, number: int) -> Path:
        """A file of other bytes for each run, since known bytes are not sent again."""
        path = self.home / f"source-{number}.safetensors"
        if not path.exists():
            write_safetensors(path, self.size)
        return path

    def modelyard(self, *arguments: str) -> Run:
        return measured([MODELYARD, "--quiet", *arguments], self.environment)


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Every way in turn, ``rounds`` times, in an order that rotates."""
    with RunningServer(home / "data", log_level="warning") as server, Nginx(home / "nginx") as nginx:
        environment = os.environ | {"MODELYARD_CONFIG": str(home / "profiles.toml")}
        ground = Ground(home, size, server, nginx, environment)
        _sign_in(ground)
        pushes = _in_turn(ground, {"limit": _limit, "modelyard push": _push, "curl to nginx": _curl_put}, rounds)
        again = ground.modelyard("push", str(ground.source(0)), "--path", "loras/again.safetensors")
        received = _received(server)
        ground.modelyard("push", str(ground.source(0)), "--path", "loras/once-more.safetensors")
        sent_again = _received(server) - received
        pulls = _in_turn(
            ground,
            {
                "modelyard pull": _pull,
                "curl, then sha256sum": _curl_get,
                "aria2c -x4, then sha256sum": _aria2c,
                "curl, nothing checked": _curl_bare,
            },
            rounds,
        )
        server_peak = peak_bytes(server.pid)
    return _tables(pushes, pulls, size, again), _goals(pushes, pulls, server_peak, sent_again)


def _sign_in(ground: Ground) -> None:
    password = ground.home / "password"
    password.write_text(PASSWORD)
    words = f"{MODELYARD} login {ground.server.url} {OWNER} --password-stdin < {password}"
    measured(["sh", "-c", words], ground.environment)


def _in_turn(ground: Ground, ways: dict[str, Callable[[Ground, int], Run]], rounds: int) -> dict[str, list[Run]]:
    """One round more than asked: the first pays for memory that the machine has not touched yet, and is left out."""
    found: dict[str, list[Run]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            warm(ground.source(number))
            settle()
            found[name].append(ways[name](ground, number))
    return {name: runs[1:] for name, runs in found.items()}


def _limit(ground: Ground, number: int) -> Run:
    target = ground.home / "limit.bin"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = threading.Thread(target=limit.receive, args=(listener, target, ground.size))
        began, cpu = time.perf_counter(), time.process_time()
        receiver.start()
        port = str(listener.getsockname()[1])
        sender = measured([sys.executable, "-m", "bench.limit", "send", port, str(ground.source(number))])
        receiver.join()
        run = Run(time.perf_counter() - began, sender.cpu_seconds + time.process_time() - cpu, sender.peak_bytes)
    target.unlink()
    return run


def _push(ground: Ground, number: int) -> Run:
    return ground.modelyard("push", str(ground.source(number)), "--path", f"loras/pushed-{number}.safetensors")


def _curl_put(ground: Ground, number: int) -> Run:
    url = f"{ground.nginx.url}/put-{number}.bin"
    run = measured(["curl", "-sSf", "-T", str(ground.source(number)), "-H", "Expect:", url])
    (ground.nginx.files / f"put-{number}.bin").unlink()
    return run


def _pull(ground: Ground, number: int) -> Run:
    target = ground.home / "pulled"
    run = ground.modelyard("pull", f"loras/pushed-{number}.safetensors", "-o", str(target))
    shutil.rmtree(target)
    return run


def _fetched(ground: Ground, number: int, words: str) -> Run:
    """A shell line with ``{url}`` and ``{target}``; the file comes from nginx, from the page cache."""
    name = f"get-{number}.bin"
    if not (ground.nginx.files / name).exists():
        os.link(ground.source(number), ground.nginx.files / name)
    target = ground.home / "fetched"
    run = measured(["sh", "-ec", words.format(url=f"{ground.nginx.url}/{name}", target=target, home=ground.home)])
    target.unlink()
    return run


def _curl_get(ground: Ground, number: int) -> Run:
    return _fetched(ground, number, "curl -sSf -o {target} {url}; sync {target}; sha256sum {target}")


def _curl_bare(ground: Ground, number: int) -> Run:
    return _fetched(ground, number, "curl -sSf -o {target} {url}; sync {target}")


def _aria2c(ground: Ground, number: int) -> Run:
    return _fetched(ground, number, "aria2c -q -x4 -s4 -d {home} -o fetched {url}; sync {target}; sha256sum {target}")


def _received(server: RunningServer) -> float:
    text = server.client().get("/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("modelyard_received_bytes_total"))
    return float(line.split()[1])


def _tables(pushes: dict[str, list[Run]], pulls: dict[str, list[Run]], size: int, again: Run) -> list[Table]:
    columns = ["", "GB/s, median (range)", "client CPU s", "client peak MiB"]
    known = ["modelyard push of known bytes", f"{again.seconds:.2f} s in all", f"{again.cpu_seconds:.2f}", "-"]
    return [
        Table(f"Sending {size / 2**30:g} GiB", columns, [*_rows(pushes, size), known]),
        Table(f"Fetching {size / 2**30:g} GiB", columns, _rows(pulls, size)),
    ]


def _rows(found: dict[str, list[Run]], size: int) -> list[list[str]]:
    return [
        [
            name,
            spread([size / 1e9 / run.seconds for run in runs]),
            f"{statistics.median(run.cpu_seconds for run in runs):.2f}",
            f"{max(run.peak_bytes for run in runs) / MEBIBYTE:.0f}",
        ]
        for name, runs in found.items()
    ]


def _goals(
    pushes: dict[str, list[Run]], pulls: dict[str, list[Run]], server_peak: int, sent_again: float
) -> list[Goal]:
    def seconds(runs: list[Run]) -> float:
        return statistics.median(run.seconds for run in runs)

    clients = pushes["modelyard push"] + pulls["modelyard pull"]
    client_peak = max(run.peak_bytes for run in clients) / MEBIBYTE
    push, pull = seconds(pushes["modelyard push"]), seconds(pulls["modelyard pull"])
    return [
        Goal("push / limit for the same work", seconds(pushes["limit"]) / push, 0.8),
        Goal("pull / (curl, then sha256sum)", seconds(pulls["curl, then sha256sum"]) / pull, 1.2),
        Goal("client peak RSS, MiB", client_peak, 200, at_least=False),
        Goal("server peak RSS, MiB", server_peak / MEBIBYTE, 200, at_least=False),
        Goal("KiB received when known bytes are pushed again (requests only)", sent_again / 1024, 8, at_least=False),
    ]
