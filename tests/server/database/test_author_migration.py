"""The migration to licenses and authors with a source: nothing that was entered is lost, and files tell the rest."""

import importlib
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import JSON, Uuid, column, select, table, text

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.models.search_text import SEARCHED_COLUMNS, build_search_text
from modelyard.server.models.tables import ModelRow
from tests.server.database.first_release import TEAM, FirstRelease, upgrade_to
from tests.server.models.model_factory import TeamModels

pytestmark = pytest.mark.slow

BEFORE, MIGRATION = "0068", "modelyard.server.database.migrations.versions.0069_authors"
DECLARED = {"license": "CC-BY-4.0", "author": "Ada Lovelace"}
# The migration after this one builds the searched texts.
BEFORE_TEXTS = "0020"
MODELS = table("models", column("id", Uuid()), column("facts", JSON()))
COLUMNS = ("license", "license_override", "license_source", "author", "author_override", "author_source")


def migrate_models(database: Database, database_url: str, tmp_path: Path) -> dict[str, tuple[str | None, ...]]:
    """Migrate models of which the first has an own license, and whose files declare both; return the columns."""
    FirstRelease().write(database_url, tmp_path)
    upgrade_to(database, BEFORE_TEXTS)
    with database.engine.begin() as connection:
        names = connection.scalars(text("SELECT display_name FROM models ORDER BY display_name")).all()
        for name, entered in zip(names, ("MIT", ""), strict=False):
            of_model = {"license": entered, "name": name}
            connection.execute(text("UPDATE models SET license = :license WHERE display_name = :name"), of_model)
    upgrade_to(database, BEFORE)
    with database.engine.begin() as connection:
        for model_id, facts in connection.execute(select(MODELS)).all():
            update = MODELS.update().where(MODELS.c.id == model_id)
            connection.execute(update.values(facts={**(facts or {}), "details": DECLARED}))
    migrate(database.engine)
    with database.reading() as session:
        columns = [getattr(ModelRow, name) for name in COLUMNS]
        rows = session.execute(select(ModelRow.display_name, *columns).order_by(ModelRow.display_name)).all()
    return {row[0]: tuple(row[1:]) for row in rows}


@pytest.mark.parametrize("batch", [1, 1_000])
def test_upgrade_keeps_entered_licenses_as_those_of_people_and_takes_others_from_files(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(importlib.import_module(MIGRATION), "BATCH", batch)
    first, *others = migrate_models(database, database_url, tmp_path).values()
    assert first == ("MIT", "MIT", "person", "Ada Lovelace", None, "file")
    assert len(others) > 1
    assert {*others} == {("CC-BY-4.0", None, "file", "Ada Lovelace", None, "file")}


def test_upgrade_searches_find_the_licenses_of_files(database: Database, database_url: str, tmp_path: Path) -> None:
    migrate_models(database, database_url, tmp_path)
    team_models = TeamModels(database, UUID(TEAM))
    found = team_models.list_names(q="license:cc-by-4.0")
    assert len(found) > 1
    assert team_models.list_names(q="-license:cc-by-4.0") == team_models.list_names(q="license:mit") != []
    assert team_models.list_names(q="license:cc-by-4.0", deleted=True) == team_models.list_names(deleted=True) != []


def test_upgrade_searched_texts_have_the_lines_of_changed_models(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    migrate_models(database, database_url, tmp_path)
    columns = [getattr(ModelRow, name) for name in (*SEARCHED_COLUMNS, "searched")]
    with database.reading() as session:
        rows = session.execute(select(*columns)).mappings().all()
    for row in rows:
        assert row["searched"].split("\n") == build_search_text({**row}).split("\n")
