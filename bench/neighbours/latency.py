"""Measure how long a server takes to answer one caller who repeats a request."""

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.server.harness import ApiCaller

PAUSE_SECONDS = 0.01
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class MeasuredRequest:
    """A request whose latency is measured; ``body`` is sent as JSON."""

    name: str
    method: str
    path: str
    body: Any = None


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


class RequestFailedError(Exception):
    """A measured request was refused, perhaps because of the flood."""


class LatencyProbe:
    """One caller with one connection that repeats a request and measures each response."""

    def __init__(self, url: str, caller: ApiCaller) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self._headers = caller.headers | {"Content-Type": "application/json"}

    def measure(self, request: MeasuredRequest, seconds: float) -> Latencies:
        """Repeat a request for that long, at least once.

        Raises:
            RequestFailedError: a response is no success.
            OSError: there is none.
        """
        content = None if request.body is None else json.dumps(request.body)
        milliseconds, ends = list[float](), time.monotonic() + seconds
        while not milliseconds or time.monotonic() < ends:
            began = time.perf_counter()
            self._connection.request(request.method, request.path, content, self._headers)
            response = self._connection.getresponse()
            text = response.read()
            milliseconds.append((time.perf_counter() - began) * 1e3)
            if response.status >= 300:
                raise RequestFailedError(f"{request.name} returned {response.status}: {text.decode(errors='replace')}")
            time.sleep(PAUSE_SECONDS)
        return Latencies(tuple(milliseconds))
