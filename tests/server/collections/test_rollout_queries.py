"""How many statements the database gets for the machines of a roll-out."""

from uuid import UUID

import pytest

from modelyard.server.collections.rollouts.operations import get_rollout
from modelyard.server.identity.authentication import Caller
from modelyard.server.teams.context import TeamContext
from modelyard.wire.people.roles import Role
from tests.server.agents.machine import Machine, build_states
from tests.server.collections.studio import Studio
from tests.server.harness import ApiCaller, Harness
from tests.server.query_plans import record_queries


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    return Studio(shared_registry, team)


def add_machines(studio: Studio, count: int) -> None:
    """Add subscribed machines that report kaori in several states."""
    states = ("ready", "downloading", "conflict", "blocked")
    for number in range(count):
        labels = ("gpu24", "canary") if number % 2 else ("gpu24",)
        machine = Machine(studio.canary.key, f"node-{count}-{number}", labels)
        machine.begin(build_states(studio.kaori, state=states[number % 4], reason=None if number % 4 < 2 else "Why."))


def count_statements(studio: Studio, rollout: str) -> tuple[int, int]:
    """Return how many machines a roll-out has, and how many statements were sent to read it.

    Read in this thread, since the registry's jobs send statements in others.
    """
    _, _, collection_id, _, rollout_id = rollout.split("/")
    database, team = studio.registry.resources.database, build_context(studio.team)
    with record_queries(database.engine) as statements, database.reading() as session:
        progress = get_rollout(session, team, UUID(collection_id), UUID(rollout_id)).progress
    assert progress is not None
    return progress.canaries.machine_count + progress.others.machine_count, len(statements.sent)


def build_context(team: ApiCaller, role: Role = Role.OWNER) -> TeamContext:
    """Return the team as this user sees it, in this role."""
    caller = Caller("user", UUID(team.user_id), None, None, None, "write", "Ada Lovelace", None)
    return TeamContext(caller, UUID(team.team_id), role)


def test_get_rollout_sends_as_many_statements_for_50_machines_as_for_5(studio: Studio) -> None:
    rollout = studio.start()
    add_machines(studio, 3)
    few, statements_for_few = count_statements(studio, rollout)
    add_machines(studio, 45)
    many, statements_for_many = count_statements(studio, rollout)
    assert (few, many) == (5, 50)
    assert statements_for_many == statements_for_few <= 10
