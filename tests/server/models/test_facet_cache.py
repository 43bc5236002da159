"""The cache of facets: it never returns counts from before a change, and counts only what can have changed."""

from typing import Any
from uuid import UUID

import pytest

from modelyard.server.models.listing.facet_cache import (
    BRIEF_SECONDS,
    MAX_ENTRIES,
    FacetCache,
    Key,
    find_or_count_facets,
)
from modelyard.wire.model_filter import FacetQuery
from tests.server.agents.machine import Machine, add_machine, build_states
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.models.model_factory import ModelSpec, TeamModels
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

Counts = dict[str, dict[str, int]]


@pytest.fixture
def team_of_machine(shared_registry: Harness) -> tuple[ApiCaller, Machine, list[str]]:
    """Return a team, a machine that has reported nothing, and the ids of two models that it should hold."""
    team = shared_registry.create_team()
    ids = [team.register(make_model_file(name), f"loras/{name}.safetensors") for name in ("ink", "oil")]
    return team, add_machine(shared_registry, team), ids


def count_by_api(team: ApiCaller, **query: Any) -> Counts:
    answer = team.get("/models/facets", **query)
    assert answer.status_code == 200, answer.text
    return {
        facet["name"]: {one["value"]: one["count"] for one in facet["value_list"]}
        for facet in answer.json()["facet_list"]
    }


def test_facets_route_follows_reports_of_machines_at_once(
    shared_registry: Harness, team_of_machine: tuple[ApiCaller, Machine, list[str]]
) -> None:
    team, machine, ids = team_of_machine
    assert count_by_api(team)["state"] == {"queued": 2}
    machine.begin(build_states(ids[0]))
    assert count_by_api(team)["state"] == {"queued": 1, "ready": 1}
    machine.report(build_states(ids[1], state="failed"))
    assert count_by_api(team)["state"] == {"failed": 1, "ready": 1}
    assert count_by_api(team, q="state:failed")["type"] == {"loras": 1}
    machine.report(build_states(ids[1]))
    assert count_by_api(team)["state"] == {"ready": 2}
    assert count_by_api(team, q="state:failed")["type"] == {}
    add_machine(shared_registry, team, "render-08")
    assert count_by_api(team)["state"] == {"queued": 2, "ready": 2}
    assert count_by_api(team, q="is:missing")["type"] == {"loras": 2}
    assert team.delete("/agents/render-08").status_code == 204
    assert count_by_api(team)["state"] == {"ready": 2}
    assert count_by_api(team, q="is:missing")["type"] == {}


def test_facets_route_follows_labels_of_machines_and_assignments_at_once(
    team_of_machine: tuple[ApiCaller, Machine, list[str]],
) -> None:
    team, machine, ids = team_of_machine
    team.put(f"/models/{ids[0]}", required_labels=["gpu24"])
    assert count_by_api(team, q="machine:render-07")["type"] == {"loras": 1}
    machine.labels = ("gpu24",)
    machine.begin()
    assert count_by_api(team, q="machine:render-07")["type"] == {"loras": 2}
    machine.labels = ()
    machine.begin(series="two")
    assert count_by_api(team)["state"] == {"queued": 1}
    assert team.call("PUT", f"/agents/render-07/models/{ids[0]}").status_code < 300
    assert count_by_api(team)["state"] == {"queued": 2}


def test_facets_route_counts_models_that_need_attention_on_request(
    team_of_machine: tuple[ApiCaller, Machine, list[str]],
) -> None:
    team, machine, ids = team_of_machine
    assert count_by_api(team, facet="is") == {"is": {"missing": 2}}
    machine.begin(build_states(ids[0]))
    assert count_by_api(team, facet="is") == {"is": {"missing": 1}}
    team.put(f"/models/{ids[1]}", model_status="disabled")
    assert count_by_api(team, facet="is") == {"is": {"disabled": 1}}
    assert count_by_api(team, facet="is", q="oil is:missing", model_status="active") == {"is": {"disabled": 1}}
    assert count_by_api(team, facet="is", q="ink") == {"is": {}}
    assert count_by_api(team, facet="is", prefix="miss") == {"is": {}}
    assert "is" not in count_by_api(team)


def test_facets_route_counts_only_states_again_after_a_report(
    shared_registry: Harness, team_of_machine: tuple[ApiCaller, Machine, list[str]]
) -> None:
    team, machine, ids = team_of_machine
    engine = shared_registry.resources.database.engine
    with record_queries(engine, of_all_threads=True) as first:
        before = count_by_api(team)
    machine.begin(build_states(ids[0]))
    with record_queries(engine, of_all_threads=True) as second:
        after = count_by_api(team)
    with record_queries(engine, of_all_threads=True) as third:
        assert count_by_api(team) == after
    counts_types = [
        any("base_model" in sql and "GROUP BY" in sql for sql, _ in each.sent) for each in (first, second, third)
    ]
    assert counts_types == [True, False, False]
    assert before["type"] == after["type"] == {"loras": 2}


def test_facets_of_hash_are_counted_again_after_some_seconds(team_models: TeamModels) -> None:
    """A CRC-32 is computed later, without a new revision of the team."""
    now = [0.0]
    cache = FacetCache(lambda: now[0])
    counts: list[int] = []

    def count(q: str) -> int:
        with team_models.database.reading() as session:
            facets = find_or_count_facets(session, team_models.team, FacetQuery(q=q), cache).facet_list
        return sum(one.count for facet in facets if facet.name == "type" for one in facet.value_list)

    for number in range(2):
        blob = team_models.insert_blob(sha256=f"{number:064}", crc32="c3c3c3c3")
        team_models.insert([ModelSpec(f"ink {number}", number, columns={"blob_id": blob})])
        counts += [count("c3c3c3c3"), count("ink")]
    now[0] = BRIEF_SECONDS
    # Models of the factory have no revision of their own.
    assert [*counts, count("c3c3c3c3"), count("ink")] == [1, 1, 1, 1, 2, 1]


def test_cache_keeps_a_limited_number_of_entries() -> None:
    cache = FacetCache()
    keys = [Key(UUID(int=1), revision, None, "", "") for revision in range(MAX_ENTRIES + 1)]
    for key in keys:
        cache.keep(key, [], None)
    assert cache.find(keys[0]) is None
    assert cache.find(keys[1]) == []
