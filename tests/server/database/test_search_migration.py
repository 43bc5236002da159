"""The migrations of searched texts: models of an earlier release are found by qualifiers."""

import importlib
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, text

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.models.search_text import SEARCHED_COLUMNS, build_search_text
from modelyard.server.models.tables import ModelRow
from tests.server.database.first_release import TEAM, FirstRelease, upgrade_to
from tests.server.models.model_factory import TeamModels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(
        reason="one old migration, which changes no more; test_upgrades.py and test_migrations.py run all of them"
    ),
]

VERSIONS = "modelyard.server.database.migrations.versions"
BEFORE, MIGRATION = "0020", f"{VERSIONS}.0021_search_text"
BEFORE_FIRST_WORDS, FIRST_WORDS_MIGRATION = "0025", f"{VERSIONS}.0026_first_words"


@pytest.fixture
def upgraded(database: Database, database_url: str, tmp_path: Path) -> TeamModels:
    """Return the team of the first release after all migrations."""
    FirstRelease().write(database_url, tmp_path)
    upgrade_to(database, BEFORE)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE models SET license = 'MIT'"))
    migrate(database.engine)
    return TeamModels(database, UUID(TEAM))


@pytest.mark.parametrize("q", ["type:loras", 'by:"mia ø"', "tag:INK", "license:mit", "in", "loras", "-tag:oil"])
def test_upgrade_models_are_found_by_qualifiers_and_beginnings(upgraded: TeamModels, q: str) -> None:
    everything = upgraded.list_names()
    assert len(everything) > 1
    assert upgraded.list_names(q=q) == everything


def test_upgrade_trash_and_later_changes_are_found(upgraded: TeamModels) -> None:
    assert upgraded.list_names(q="type:loras", deleted=True) == upgraded.list_names(deleted=True) != []
    name = upgraded.list_names()[0]
    with upgraded.database.writing(upgraded.team_id) as session:
        session.execute(text("UPDATE models SET searched = 'nocturne' WHERE display_name = :name"), {"name": name})
    assert upgraded.list_names(q="nocturne") == [name]
    assert name not in upgraded.list_names(q="tag:ink")


def test_upgrade_in_small_batches_covers_all_models(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module(MIGRATION), "BATCH", 2)
    FirstRelease().write(database_url, tmp_path)
    migrate(database.engine)
    team_models = TeamModels(database, UUID(TEAM))
    assert team_models.list_names(q="tag:ink") == team_models.list_names()


def write_release_with_base_models(database: Database, database_url: str, tmp_path: Path) -> TeamModels:
    """Write a registry whose searched texts have base models, but not their first words."""
    FirstRelease().write(database_url, tmp_path)
    upgrade_to(database, BEFORE)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE models SET base_model = 'Flux.1 D' WHERE display_name <> 'failed'"))
    upgrade_to(database, BEFORE_FIRST_WORDS)
    return TeamModels(database, UUID(TEAM))


@pytest.mark.parametrize("batch", [1, 5_000])
def test_upgrade_base_models_are_found_by_first_words(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(importlib.import_module(FIRST_WORDS_MIGRATION), "BATCH", batch)
    team_models = write_release_with_base_models(database, database_url, tmp_path)
    migrate(database.engine)

    having = [name for name in team_models.list_names() if name != "failed"]
    assert len(having) > 1
    for q in ("base:flux", "base:flux.1", 'base:"flux.1 d"', "flux type:loras"):
        assert team_models.list_names(q=q) == having, q
    assert team_models.list_names(q="base:flux", deleted=True) == team_models.list_names(deleted=True) != []
    assert team_models.list_names(q="-base:flux") == ["failed"]


def test_upgrade_searched_texts_equal_those_of_changed_models(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    team_models = write_release_with_base_models(database, database_url, tmp_path)
    migrate(database.engine)

    columns = [getattr(ModelRow, name) for name in (*SEARCHED_COLUMNS, "searched")]
    with database.reading() as session:
        rows = session.execute(select(*columns)).mappings().all()
    assert {row["searched"] for row in rows} == {build_search_text({**row}) for row in rows}

    name = team_models.list_names(q="base:flux")[0]
    with database.writing(team_models.team_id) as session:
        session.execute(text("UPDATE models SET searched = 'nocturne' WHERE display_name = :name"), {"name": name})
    assert team_models.list_names(q="nocturne") == [name]
    assert name not in team_models.list_names(q="base:flux")
