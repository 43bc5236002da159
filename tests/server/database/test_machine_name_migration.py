"""The migration of machines with names that no client can address."""

from pathlib import Path

import pytest
from sqlalchemy import text

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.server.database.first_release import TEAM, FirstRelease, upgrade_to

pytestmark = pytest.mark.slow
BEFORE = "0059"
AGENT_COLUMNS = "number, team_id, agent_id, credential_id, own_labels, central_labels, label_set, agent_status"
MORE_COLUMNS = "agent_version, platform_arch, sync_phase, bytes_held, removal_waiting, paused, sync_asked, orders"
LAST_COLUMNS = "report_series, report_number, models_ready, connected_at, last_heartbeat"


def add_agent(database: Database, number: int, name: str) -> None:
    """Insert a machine as the release before left it, with the first agent key of the team."""
    with database.engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO agents ({AGENT_COLUMNS}, {MORE_COLUMNS}, {LAST_COLUMNS}) "  # noqa: S608 - our own names
                "SELECT :number, team_id, :name, id, '[]', '[]', '', 'idle', '', '', 'idle', 0, 0, false, false, 0, "
                "'', 0, 0, created_at, created_at FROM credentials WHERE kind = 'agent' AND team_id = :team LIMIT 1"
            ),
            {"number": number, "name": name, "team": TEAM},
        )


def test_upgrade_renames_machines_that_no_client_can_address(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    FirstRelease().write(database_url, tmp_path)
    upgrade_to(database, BEFORE)
    for number, name in enumerate((".", "..", "...", "renamed-2"), start=1):
        add_agent(database, number, name)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE credentials SET agent_id = '..' WHERE kind = 'agent'"))

    migrate(database.engine)

    with database.engine.begin() as connection:
        names = connection.scalars(text("SELECT agent_id FROM agents ORDER BY number")).all()
        bound = connection.scalars(text("SELECT agent_id FROM credentials WHERE kind = 'agent'")).all()
    assert names == ["renamed-1", "renamed-2-", "...", "renamed-2"]
    assert set(bound) == {None}
