"""Searches that are as expensive as a team can make them: responses to other teams stay fast."""

from uuid import UUID

import pytest

from modelyard.server.database.session import Database
from tests.noisy_neighbours.latency import Comparison, LatencyProbe, assert_stays_fast, for_seconds
from tests.noisy_neighbours.load_program import ExpectedResponses, sending
from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tests.server.models.model_factory import ModelSpec, TeamModels

MODELS = 2_000
CONNECTIONS = 48
EXPECTED = ExpectedResponses(frozenset({"200", "503"}), minimum=CONNECTIONS)
# Every trigram of these is in every name; the last word is in none. The fourth is compared with the words of the team.
SEARCHES = [
    "ab" * 40 + " zq",
    " ".join(["ab" * 12, "ba" * 11, "abab0", "baba1", "a0", "b1", "0a", "zq"]),
    "aba bab zq",
    " ".join(["ab" * 18 + "a", "ba" * 18 + "b", "zabab", "zqzq"]),
]
QUIET_SECONDS, LOADED_SECONDS = 3.0, 8.0
NOISE_SECONDS = 0.02
MAX_TIMES_SLOWER = {0.99: 3.0}


@pytest.fixture(scope="module")
def searcher(server: RunningServer) -> ApiCaller:
    """A team whose models have names and tags of the maximum length that repeat two letters."""
    owner = server.owner()
    owner.team_id = owner.post("/teams", display_name="Expensive").json()["id"]
    database = Database(server.database_url)
    team_models = TeamModels(database, UUID(owner.team_id))
    for first in range(0, MODELS, 100):
        team_models.insert(
            ModelSpec("ab" * 47 + f"{n:06}", n, tuple(f"{'ab' * 29}{n % 50:02}{tag:04}" for tag in range(16)))
            for n in range(first, first + 100)
        )
    database.close()
    return owner


def test_slow_searches_of_one_team_leave_other_teams_fast(server: RunningServer, searcher: ApiCaller) -> None:
    probe = LatencyProbe(server.url, server.owner())
    arguments = [str(server.port), str(CONNECTIONS), searcher.headers["Authorization"], searcher.headers["X-Team-ID"]]
    # Measured once and first: searches go on for a while after their connections were closed.
    quiet = [probe.measure("GET", "/api/v1/models", for_seconds(QUIET_SECONDS)) for _ in range(2)]

    def measure() -> list[Comparison]:
        with sending("send_searches", [*arguments, *SEARCHES], EXPECTED):
            loaded = probe.measure("GET", "/api/v1/models", for_seconds(LOADED_SECONDS))
        return [Comparison("GET /models", quiet, loaded, MAX_TIMES_SLOWER, NOISE_SECONDS)]

    assert_stays_fast(measure)
