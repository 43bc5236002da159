"""The schema: what migrating makes, what the tables say, and what is refused."""

import ast
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, inspect

import modelyard.server.app  # noqa: F401 - imports every slice, so that every table is known
from modelyard.server.database import migrations
from modelyard.server.database.base import Row
from modelyard.server.database.migrations import SchemaTooNew, migrate, read_schema_version, schema_state
from modelyard.server.database.search import is_row_table
from modelyard.server.database.session import Database
from tests.server.database.first_release import upgrade_to

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(database: Database) -> Engine:
    return database.engine


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        compared = {"compare_type": True, "compare_server_default": True, "include_name": is_row_table}
        context = MigrationContext.configure(connection, opts=compared | {"target_metadata": Row.metadata})
        return list(compare_metadata(context, Row.metadata))


def list_own_imports(file: Path) -> set[str]:
    """Return the names that a module imports from this project."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in imported if name.startswith("modelyard")}


def test_migrations_import_only_the_column_types_of_this_project() -> None:
    """A migration does the same in every later release, so it has no code that may change."""
    files = [*Path(migrations.__file__).with_name("versions").glob("*.py")]
    assert len(files) > 20
    assert set().union(*map(list_own_imports, files)) == {"modelyard.server.database.base"}


def test_migrated_schema_equals_declared_tables(engine: Engine) -> None:
    migrate(engine)
    assert differences(engine) == []


def test_migrated_constraints_equal_declared_names(engine: Engine) -> None:
    """What the comparison above does not look at: foreign keys' actions, unique and check constraints."""
    migrate(engine)
    found = inspect(engine)
    for table in Row.metadata.sorted_tables:
        keys = {(key["name"], key["options"].get("ondelete")) for key in found.get_foreign_keys(table.name)}
        assert keys == {(key.name, key.ondelete) for key in table.foreign_key_constraints}
        checks = {check["name"] for check in found.get_check_constraints(table.name)}
        assert checks == {check.name for check in table.constraints if isinstance(check, CheckConstraint)}
        assert found.get_pk_constraint(table.name)["name"] == table.primary_key.name


def test_compare_schema_missing_column_is_detected(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE models DROP COLUMN license")
    assert [str(difference[0]) for difference in differences(engine)] == ["add_column"]


def test_insert_second_model_with_equivalent_path_violates_constraint(engine: Engine) -> None:
    migrate(engine)
    unique = {str(index["name"]): index for index in inspect(engine).get_indexes("models") if index["unique"]}
    conditions = {
        "uq_models_team_id_path_key": "deleted_at IS NULL",
    }
    assert unique.keys() == conditions.keys()
    for name, index in unique.items():
        assert index["column_names"] == ["team_id", "path_key"]
        assert conditions[name] in str(index["dialect_options"][f"{engine.dialect.name}_where"])


def test_migrate_repeated_changes_nothing(engine: Engine) -> None:
    assert schema_state(engine) == "behind"
    migrate(engine)
    migrate(engine)
    assert schema_state(engine) == "current"


def test_migrate_newer_schema_raises_and_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew):
        migrate(engine)
    assert schema_state(engine) == "too new"


def test_migrate_older_schema_logs_both_versions_and_the_end(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade_to(database, "0050")
    with caplog.at_level("INFO", logger="modelyard.database"):
        migrate(database.engine)
        migrate(database.engine)
    newest = read_schema_version(database.engine)
    begun, done = [record.getMessage() for record in caplog.records if record.name == "modelyard.database"]
    assert f"from 0050 to {newest}" in begun
    assert "may take minutes" in begun
    assert f"is now {newest}" in done
