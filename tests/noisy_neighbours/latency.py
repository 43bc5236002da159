"""Measure how long a server takes to answer one caller, and compare that with and without the load of another team."""

import http.client
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.harness import ApiCaller

PAUSE_SECONDS = 0.01
TIMEOUT_SECONDS = 60.0
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
ROUNDS = 4


@dataclass
class Latencies:
    """Seconds that each response took."""

    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return the latency in seconds that this share (0 to 1) of the responses did not exceed."""
        return sorted(self.seconds)[min(int(len(self.seconds) * share), len(self.seconds) - 1)]

    def __add__(self, other: "Latencies") -> "Latencies":
        return Latencies(self.seconds + other.seconds)

    def __str__(self) -> str:
        milliseconds = [f"{name} {1000 * self.quantile(share):.1f}" for name, share in QUANTILES.items()]
        return f"{', '.join(milliseconds)} ms of {len(self.seconds)}"


class LatencyProbe:
    """One caller with one connection that repeats a request and measures each response."""

    def __init__(self, url: str, caller: ApiCaller) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self._headers = caller.headers | {"Content-Type": "application/json"}

    def measure(self, method: str, path: str, goes_on: Callable[[], bool], body: Any = None) -> Latencies:
        """Repeat a request while ``goes_on()`` is true. Fails at the first response that is no success."""
        measured = Latencies()
        content = None if body is None else json.dumps(body)
        while goes_on():
            started = time.perf_counter()
            self._connection.request(method, path, content, self._headers)
            response = self._connection.getresponse()
            text = response.read()
            measured.seconds.append(time.perf_counter() - started)
            assert response.status < 300, text
            time.sleep(PAUSE_SECONDS)
        return measured


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Return a function that is true for that time from now on."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() < ends


@dataclass(frozen=True)
class Comparison:
    """Latencies of one request without load (several periods) and under load.

    ``limits`` gives, for each compared quantile, how many times slower the request may be under load. A quiet latency
    below ``noise_seconds`` counts as that much.
    """

    name: str
    quiet: Sequence[Latencies]
    loaded: Latencies
    limits: dict[float, float]
    noise_seconds: float

    @property
    def is_within_limits(self) -> bool:
        return all(
            self.loaded.quantile(share) <= times * max(self._quiet_seconds(share), self.noise_seconds)
            for share, times in self.limits.items()
        )

    def _quiet_seconds(self, share: float) -> float:
        return max(period.quantile(share) for period in self.quiet)

    def __str__(self) -> str:
        return f"{self.name}: quiet {'; '.join(map(str, self.quiet))}; under load {self.loaded}"


def assert_stays_fast(measure_round: Callable[[], Sequence[Comparison]]) -> None:
    """Measure up to ``ROUNDS`` times, until all comparisons of a round are within their limits.

    One good round is proof: other programs on the machine only make latencies longer. Fails with all figures otherwise.
    """
    rounds = list[Sequence[Comparison]]()
    while len(rounds) < ROUNDS:
        rounds.append(measure_round())
        if all(comparison.is_within_limits for comparison in rounds[-1]):
            return
    figures = "\n".join(str(comparison) for comparisons in rounds for comparison in comparisons)
    pytest.fail(figures)
