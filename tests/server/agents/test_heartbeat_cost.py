"""How much of a full heartbeat holds the team's lock: its report is compared before, and written by few statements."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.agents.heartbeats import record_heartbeat
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.state import Identity
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.resources import open_resources
from modelyard.server.teams.context import TeamContext
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.teams import Role
from tests.server.agents.machine import Machine, add_machine, build_states, list_states_on
from tests.server.conftest import CHEAP
from tests.server.environments import Environments
from tests.server.harness import ApiCaller, Harness
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.query_plans import record_statements

# Of the start of a writing transaction: SQLite's, and PostgreSQL's lock of the team.
LOCKS = ("BEGIN IMMEDIATE", "pg_advisory_xact_lock")
MODELS = 400


class ReportingMachine:
    """A machine whose reports are recorded in this thread, without a request."""

    def __init__(self, registry: Harness, team: ApiCaller, machine: Machine, model_ids: list[str]) -> None:
        self._database, self._machine = registry.resources.database, machine
        machine.begin(build_states(*model_ids, state="queued"))
        with self._database.reading() as session:
            key_id = session.scalars(select(AgentRow.credential_id).where(AgentRow.team_id == UUID(team.team_id))).one()
        caller = Caller("agent", None, key_id, None, UUID(team.team_id), "write", "Machines", None)
        self._team = TeamContext(caller, UUID(team.team_id), None, responsible_role=Role.OWNER)

    def report(self, model_ids: list[str]) -> tuple[list[str], list[str]]:
        """Report these models as ready; return the statements before the team's lock is held, and those after."""
        self._machine.number += 1
        beat = Heartbeat(
            agent_id=self._machine.agent_id,
            report_series=self._machine.series,
            report_number=self._machine.number,
            model_list=build_states(*model_ids),
        )
        with record_statements(self._database.engine) as statements:
            assert not record_heartbeat(self._database, self._team, beat, max_machines=10).resend_all
        [begin] = [number for number, each in enumerate(statements) if any(lock in each for lock in LOCKS)]
        return statements[:begin], statements[begin:]


@pytest.fixture
def registry_without_jobs(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A registry whose jobs do not look for the content of models that were inserted as rows."""
    with (
        environments.create_settings(tmp_path_factory.mktemp("without_jobs")) as settings,
        open_resources(settings, Identity(CHEAP)) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        yield registry


def test_heartbeat_of_400_models_holds_the_team_lock_for_as_many_statements_as_one_of_2(
    registry_without_jobs: Harness,
) -> None:
    team = registry_without_jobs.create_team()
    machine = add_machine(registry_without_jobs, team)
    models = TeamModels(registry_without_jobs.resources.database, UUID(team.team_id))
    ids = sorted(
        map(str, models.insert(ModelSpec(f"ink {n}", columns={"verified_at": BEGAN}) for n in range(MODELS + 2)))
    )
    reporting = ReportingMachine(registry_without_jobs, team, machine, ids)
    few, many = reporting.report(ids[:2]), reporting.report(ids[2:])
    pages = [list_states_on(team, per_page=100, current_page=number) for number in range(1, MODELS // 100 + 2)]
    states = [state for page in pages for state in page.values()]
    assert states == ["ready"] * (MODELS + 2)
    assert (len(few[0]), len(few[1])) == (len(many[0]), len(many[1]))
    # Which models and states there are was read before.
    assert any("FROM agent_models" in each for each in many[0])
    assert not any("FROM agent_models" in each for each in many[1])
