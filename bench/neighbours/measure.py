"""Measurements of latencies without and with a flood, each on a new server."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.neighbours.flood import Counts, send_flood
from bench.neighbours.floods import FLOODS
from bench.neighbours.latency import Latencies, LatencyProbe, Measured
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed

WARM_UP_SECONDS = 2.0
# Yields the settings of an empty database and store.
CreateSettings = Callable[[], AbstractContextManager[dict[str, str]]]


@dataclass(frozen=True)
class Program:
    """The server of one commit: its name in the table, and the interpreter of its environment."""

    name: str
    python: Path


@dataclass(frozen=True)
class Measurement:
    """Latencies of one request without and with a flood; ``counts`` is how often the flood got each status."""

    flood: str
    teams: int
    database: str
    program: str
    request: str
    quiet: Latencies
    loaded: Latencies
    counts: Counts

    def get_ratio(self, share: float) -> float:
        """Return how many times longer this quantile is with the flood."""
        return self.loaded.get_quantile(share) / self.quiet.get_quantile(share)

    def merge(self, other: "Measurement") -> "Measurement":
        """Return both measurements of the same as one."""
        counts = {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in self.counts | other.counts}
        quiet, loaded = self.quiet + other.quiet, self.loaded + other.loaded
        return replace(self, quiet=quiet, loaded=loaded, counts=counts)

    def as_json(self) -> dict[str, Any]:
        """Return the measurement with milliseconds."""
        return {
            "flood": self.flood,
            "teams": self.teams,
            "database": self.database,
            "commit": self.program,
            "request": self.request,
            "quiet": self.quiet.as_json(),
            "loaded": self.loaded.as_json(),
            "ratio": {"p50": self.get_ratio(0.5), "p99": self.get_ratio(0.99)},
            "flood_responses": self.counts,
        }


@contextmanager
def open_databases(names: list[str]) -> Iterator[dict[str, CreateSettings]]:
    """Yield what creates the settings of an empty registry, for each of these databases."""
    with ExitStack() as stack:
        databases: dict[str, CreateSettings] = {}
        if "SQLite" in names:
            databases["SQLite"] = lambda: nullcontext({})
        if "PostgreSQL" in names:
            postgres, seaweed = stack.enter_context(RunningPostgres()), stack.enter_context(RunningSeaweed())
            databases["PostgreSQL"] = partial(create_database_and_bucket, postgres, seaweed)
        yield databases


def measure_flood(
    flood: str, teams: int, database: tuple[str, CreateSettings], program: Program, home: Path, seconds: float
) -> list[Measurement]:
    """Measure each request of a flood from so many teams on a new server, for some seconds without and with it.

    Raises:
        FloodFailedError: the flood was not sent, or got no response or other ones than expected.
        RequestFailedError, OSError: a measured request got no response, or one that is no success.
    """
    name, create_settings = database
    home.mkdir(parents=True)
    with create_settings() as settings:
        server = RunningServer(home / "data", port=0, **({"log_level": "warning"} | settings))
        server.python = program.python
        with server:
            prepared, probe = FLOODS[flood](server, teams), LatencyProbe(server.url, server.owner())
            for request in prepared.requests:
                probe.measure(request, WARM_UP_SECONDS)
            quiet = _measure_all(probe, prepared.requests, seconds)
            with send_flood(prepared) as counts:
                loaded = _measure_all(probe, prepared.requests, seconds)
    return [
        Measurement(flood, teams, name, program.name, request.name, quiet[number], loaded[number], counts)
        for number, request in enumerate(prepared.requests)
    ]


def _measure_all(probe: LatencyProbe, requests: Sequence[Measured], seconds: float) -> list[Latencies]:
    """Measure one request after the other."""
    return [probe.measure(request, seconds) for request in requests]
