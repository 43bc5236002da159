"""Large JSON bodies that are cheap to send and expensive to parse: responses to others stay fast."""

import pytest

from tests.attacks.test_request_bodies import PUBLIC_PATH
from tests.noisy_neighbours.latency import Comparison, Latencies, LatencyProbe, assert_stays_fast, for_seconds
from tests.noisy_neighbours.load_program import ExpectedResponses, sending
from tests.running import RunningServer
from tests.server.harness import ApiCaller

CONNECTIONS = 4
MEASURED_SECONDS = 2.0
NOISE_SECONDS = 0.02
MAX_TIMES_SLOWER = {0.99: 3.0}
# Refused for its size on a public route, for missing credentials, or for its number of commas; an early refusal may end
# in a broken connection.
EXPECTED = ExpectedResponses(frozenset({"400", "401", "413", "none"}), minimum=20)
REQUESTS = {"health": "/healthz", "models": "/api/v1/models"}


def measure(server: RunningServer, path: str, sender: ApiCaller) -> list[Comparison]:
    """Measure requests of the owner before, during and after four connections send a megabyte of brackets each."""
    probe = LatencyProbe(server.url, server.owner())

    def measure_all() -> dict[str, Latencies]:
        return {name: probe.measure("GET", each, for_seconds(MEASURED_SECONDS)) for name, each in REQUESTS.items()}

    arguments = [str(server.port), path, str(CONNECTIONS)]
    arguments += [sender.headers["Authorization"], sender.headers["X-Team-ID"]] if sender.token else []
    before = measure_all()
    with sending("send_brackets", arguments, EXPECTED):
        loaded = measure_all()
    after = measure_all()
    return [
        Comparison(name, [before[name], after[name]], loaded[name], MAX_TIMES_SLOWER, NOISE_SECONDS)
        for name in REQUESTS
    ]


@pytest.mark.parametrize("path", [PUBLIC_PATH, "/api/v1/models"])
def test_bracket_flood_without_credentials_leaves_others_fast(server: RunningServer, path: str) -> None:
    assert_stays_fast(lambda: measure(server, path, server.anonymous()))


def test_bracket_flood_of_member_leaves_others_fast(server: RunningServer) -> None:
    member = server.owner()
    assert_stays_fast(lambda: measure(server, "/api/v1/uploads/multipart/complete", member))
