"""Recognising a key costs a few look-ups in indexes, however many keys there are."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from modelyard.server.database.base import new_id
from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.identity.authentication import list_valid_key_hashes
from modelyard.server.identity.operations import KeyRequest, create_user, issue_key, rotate_key
from modelyard.server.identity.state import Identity
from modelyard.server.teams.context import resolve_team_context
from modelyard.server.teams.operations import add_member
from modelyard.server.teams.tables import TeamRow
from modelyard.wire.people.roles import Role
from tests.server.conftest import CHEAP
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

KEYS = 1_000


@pytest.fixture
def raw_key(database: Database) -> str:
    """One of many keys of a team, half of which were rotated."""
    team_id, raw = new_id(), ""
    with database.writing(team_id) as session:
        session.add(TeamRow(id=team_id, display_name="Studio"))
        user = create_user(session, "ada@studio.test", "Ada", "Lovelace", "")
        session.flush()
        add_member(session, team_id, user.id, Role.OWNER)
        for number in range(KEYS):
            row, raw = issue_key(session, team_id, user.id, KeyRequest("integration", f"key {number}", "read"))
            if number % 2:
                session.flush()
                raw, _ = rotate_key(session, row, timedelta(hours=1))
    _analyze(database.engine)
    return raw


def _analyze(engine: Engine) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("ANALYZE" if is_sqlite(engine) else "VACUUM ANALYZE")


def test_authenticate_key_uses_indexes_instead_of_table_scans(database: Database, raw_key: str) -> None:
    with record_queries(database.engine) as statements, database.reading() as session:
        team = resolve_team_context(session, Identity(CHEAP), raw_key, [])
        assert team.caller.key_hash is not None
        assert list_valid_key_hashes(session, [team.caller.key_hash]) == {team.caller.key_hash}
    with database.engine.connect() as connection:
        plans = statements.plans(connection)
    assert len(plans) == 2
    for plan in plans:
        for table in ("credentials", "retired_secrets"):
            assert f"SCAN {table}" not in plan
            assert f"Seq Scan on {table}" not in plan
