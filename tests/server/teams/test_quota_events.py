"""The audit event of teams that have reached 80 % of their quota."""

from typing import Any

from modelyard.server.database.job_run import JobRun
from modelyard.server.teams.quota_events import record_quota_events
from tests.server.harness import ApiCaller, Harness, make_model_file

CONTENT = make_model_file("ink", 1000)
ACTION = "quota.reached_80_percent"


def list_facts(registry: Harness, team: ApiCaller, default: int | None = None) -> list[dict[str, Any]]:
    """Run the job with this quota of the settings, and return the facts of the team's events, newest first."""
    settings = registry.resources.settings.model_copy(update={"quota_bytes": default})
    record_quota_events(JobRun(registry.resources.database, "quotas"), settings)
    events = team.get("/audit-events", action=ACTION).json()["audit_event_list"]
    return [event["facts"] for event in events]


def test_quota_event_is_recorded_once_until_the_team_is_below_again(shared_registry: Harness, team: ApiCaller) -> None:
    size = len(CONTENT)
    team.put("/teams/current", quota_bytes=2 * size)
    model_id = team.register(CONTENT)
    assert list_facts(shared_registry, team) == []
    team.put("/teams/current", quota_bytes=size * 5 // 4)
    expected = {"stored_bytes": size, "quota_bytes": size * 5 // 4}
    assert list_facts(shared_registry, team) == [expected]
    assert list_facts(shared_registry, team) == [expected]
    team.put("/teams/current", quota_bytes=2 * size)
    assert list_facts(shared_registry, team) == [expected]
    team.put("/teams/current", quota_bytes=size)
    assert len(list_facts(shared_registry, team)) == 2
    team.put("/teams/current", quota_bytes=None)
    assert len(list_facts(shared_registry, team)) == 2
    team.put("/teams/current", quota_bytes=size)
    assert len(list_facts(shared_registry, team)) == 3
    team.delete(f"/models/{model_id}")


def test_quota_event_counts_the_default_quota_of_the_settings(shared_registry: Harness, team: ApiCaller) -> None:
    team.register(CONTENT)
    assert list_facts(shared_registry, team, default=10 * len(CONTENT)) == []
    assert len(list_facts(shared_registry, team, default=len(CONTENT))) == 1
    assert len(list_facts(shared_registry, team, default=None)) == 1


def test_quota_of_zero_and_the_largest_quota_have_no_event(shared_registry: Harness, team: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=0)
    assert list_facts(shared_registry, team) == []
    team.put("/teams/current", quota_bytes=2**63 - 1)
    assert list_facts(shared_registry, team) == []
