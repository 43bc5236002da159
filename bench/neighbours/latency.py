"""Measure how long a server takes to answer one caller who repeats a request."""

import http.client
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.server.harness import ApiCaller, make_model_file

PAUSE_SECONDS = 0.01
TIMEOUT_SECONDS = 60.0


class RequestFailedError(Exception):
    """A measured request was refused, perhaps because of the flood."""


@dataclass(frozen=True)
class MeasuredRequest:
    """A request whose latency is measured; ``body`` is sent as JSON."""

    name: str
    method: str
    path: str
    body: Any = None

    def perform(self, probe: "LatencyProbe") -> None:
        """Send the request and receive its whole response; raises as ``LatencyProbe.measure``."""
        content = None if self.body is None else json.dumps(self.body)
        probe.connection.request(self.method, self.path, content, probe.headers)
        response = probe.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise RequestFailedError(f"{self.name} returned {response.status}: {text.decode(errors='replace')}")


@dataclass(frozen=True)
class MeasuredVerification:
    """A small file whose time is measured from its upload until the registry has verified it."""

    name: str = "push, until verified"

    def perform(self, probe: "LatencyProbe") -> None:
        """Upload and register a new file, and wait until it is verified; raises as ``LatencyProbe.measure``."""
        word = secrets.token_hex(8)
        try:
            probe.caller.register(make_model_file(word), f"loras/{word}.safetensors")
        except AssertionError as error:
            raise RequestFailedError(f"{self.name}: {error}") from error


Measured = MeasuredRequest | MeasuredVerification


@dataclass(frozen=True)
class Latencies:
    """Milliseconds that each response took; at least one."""

    milliseconds: tuple[float, ...]

    def __add__(self, other: "Latencies") -> "Latencies":
        return Latencies(self.milliseconds + other.milliseconds)

    def get_quantile(self, share: float) -> float:
        """Return the milliseconds that this share (0 to 1) of the responses did not exceed."""
        return sorted(self.milliseconds)[min(int(len(self.milliseconds) * share), len(self.milliseconds) - 1)]

    def as_json(self) -> dict[str, float]:
        return {"p50": self.get_quantile(0.5), "p99": self.get_quantile(0.99), "responses": len(self.milliseconds)}


class LatencyProbe:
    """One caller with one connection that repeats a request and measures each response."""

    def __init__(self, url: str, caller: ApiCaller) -> None:
        self.caller = caller
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self.headers = caller.headers | {"Content-Type": "application/json"}

    def measure(self, request: Measured, seconds: float) -> Latencies:
        """Repeat a request for that long, at least once.

        Raises:
            RequestFailedError: a response is no success, or a file is not verified in time.
            OSError: there is none.
        """
        milliseconds, ends = list[float](), time.monotonic() + seconds
        while not milliseconds or time.monotonic() < ends:
            began = time.perf_counter()
            request.perform(self)
            milliseconds.append((time.perf_counter() - began) * 1e3)
            time.sleep(PAUSE_SECONDS)
        return Latencies(tuple(milliseconds))
