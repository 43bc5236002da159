"""Finding models of a team by many ids reads only those models."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.agents.model_requests import request_models
from modelyard.server.collections.entries import load_known_models
from modelyard.server.database.session import Database
from modelyard.server.identity.authentication import Caller
from modelyard.server.models.lookups.by_id import load_models_by_id
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.uses import record_uses
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.wire.agent_requests.models import ModelRequest
from modelyard.wire.collections import NewCollectionModel
from modelyard.wire.uses.reports import ModelUse
from tests.server.models.model_factory import ModelSpec, TeamModels
from tests.server.query_plans import count_sqlite_steps

# A use at this time is not recorded.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FEW, MANY, ASKED = 40, 400, 20


def find_uses(session: Session, team_id: UUID, ids: Sequence[UUID]) -> None:
    uses = [ModelUse(model_id=model_id, last_used_at=LONG_AGO) for model_id in ids]
    record_uses(session, AgentRow(team_id=team_id, number=1), uses, datetime.now(UTC))


def find_for_collection(session: Session, team_id: UUID, ids: Sequence[UUID]) -> None:
    load_known_models(session, team_id, [NewCollectionModel(model_id=model_id) for model_id in ids])


def find_requested(session: Session, team_id: UUID, ids: Sequence[UUID]) -> None:
    """Request models for the team's machine, of which it gets none, because they are disabled."""
    agent = session.scalars(select(AgentRow).where(AgentRow.team_id == team_id)).one()
    caller = Caller("agent", None, agent.credential_id, None, team_id, "read", "farm", None)
    request = ModelRequest(agent_id=agent.agent_id, model_ids=list(ids))
    assert len(request_models(session, TeamContext(caller, team_id, None), request).refused) == len(ids)


def test_load_models_by_id_finds_those_of_the_team(database: Database) -> None:
    team, other = TeamModels(database), TeamModels(database)
    [ours], [theirs] = team.insert([ModelSpec("ours")]), other.insert([ModelSpec("theirs")])
    with database.reading() as session:
        assert load_models_by_id(session, team.team_id, [ours, theirs, uuid4()]).keys() == {ours}
        assert load_models_by_id(session, team.team_id, []) == {}


# Counts SQLite's steps: PostgreSQL chooses its plan by statistics.
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("find", [load_models_by_id, find_uses, find_for_collection, find_requested])
def test_finding_by_id_costs_the_same_in_a_larger_team(
    database: Database, find: Callable[[Session, UUID, Sequence[UUID]], object]
) -> None:
    steps = []
    for count in (FEW, MANY):
        team = TeamModels(database)
        team.insert_machines(1, "")
        with database.writing(team.team_id) as session:
            session.get_one(TeamRow, team.team_id).machines_may_request = True
        disabled = {"model_status": "disabled"}
        ids = team.insert(ModelSpec(f"{number}", columns=disabled) for number in range(count))[:ASKED]
        with count_sqlite_steps(database.engine) as counted, database.reading() as session:
            find(session, team.team_id, ids)
        steps.append(counted.steps)
    assert steps[1] <= 1.05 * steps[0]
