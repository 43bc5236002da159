"""The migration that marks keys that came by pairing."""

from pathlib import Path

import pytest
from sqlalchemy import text

from modelyard.server.database.base import new_id
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.server.database.first_release import TEAM, FirstRelease, upgrade_to

pytestmark = pytest.mark.slow
BEFORE = "0063"


def test_upgrade_marks_keys_of_devices_and_those_paired_with_them_only(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    FirstRelease().write(database_url, tmp_path)
    upgrade_to(database, BEFORE)
    with database.engine.begin() as connection:
        columns = "team_id, kind, key_prefix, user_id, access, created_at"
        connection.execute(
            text(
                f"INSERT INTO credentials (id, display_name, key_hash, {columns}) "  # noqa: S608 - our own names
                f"SELECT :id, 'farm', 'of the farm', {columns} FROM credentials WHERE display_name = 'old agent'"
            ),
            {"id": new_id().hex},
        )

    migrate(database.engine)

    with database.engine.begin() as connection:
        rows = connection.execute(
            text("SELECT display_name, is_paired FROM credentials WHERE team_id = :team"), {"team": TEAM}
        )
        marks = {name: bool(is_paired) for name, is_paired in rows}
        is_for_agent = connection.scalars(text("SELECT is_for_agent FROM pairings")).all()
    assert marks == {
        "old integration": False,
        "old demoted": False,
        "old device": True,
        "old agent": True,
        "farm": False,
    }
    assert is_for_agent
    assert not any(is_for_agent)
