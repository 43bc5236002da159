"""The cost of garbage collection: it grows with the number of rows, and not with its square."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelyard.server.database.job_run import PAGE
from modelyard.server.database.session import Database
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.settings import Settings
from modelyard.server.storage.local.store import LocalStore
from tests.server.environments import create_migrated_file
from tests.server.garbage import many_rows
from tests.server.garbage.version_rows import TeamSpec, insert_teams
from tests.server.query_plans import count_sqlite_steps, record_queries

pytestmark = pytest.mark.slow

FEW = 600
TIMES_AS_MANY = 4
# With a cost that grows with the square it would be 16. Larger indexes are a little deeper.
MAX_RATIO = 6
# Of a statement that names each row of a page by two values.
MAX_PARAMETERS = 3 * PAGE


@contextmanager
def open_database() -> Iterator[tuple[Database, Path]]:
    """Yield an empty database on SQLite, and its folder."""
    with TemporaryDirectory() as folder:
        database = Database(create_migrated_file(Path(folder) / "registry.sqlite3"))
        yield database, Path(folder)
        database.close()


def count_steps(insert: Callable[[Database, int], None], count: int) -> int:
    """Return how many steps SQLite takes to collect what ``insert`` inserts, in a dry run and then in a real one."""
    with open_database() as (database, folder):
        insert(database, count)
        store, settings = LocalStore(folder, b"x" * 32), Settings(data_dir=folder)
        with count_sqlite_steps(database.engine) as counted, record_queries(database.engine) as statements:
            assert collect_garbage(database, store, settings, RunOptions(is_dry=True)).failed_teams == 0
            assert collect_garbage(database, store, settings, RunOptions(is_thorough=False)).failed_teams == 0
        assert max(len(values) for _, values in statements.sent) <= MAX_PARAMETERS
        return counted.steps


@pytest.mark.parametrize(
    "insert",
    [
        many_rows.insert_versions,
        many_rows.insert_unverified_versions,
        many_rows.insert_versions_below_trash,
        many_rows.insert_trashed_versions,
        many_rows.insert_versions_of_collection,
        many_rows.insert_trashed_models,
        many_rows.insert_trashed_model_with_previews,
        many_rows.insert_models_of_deleted_team,
        many_rows.insert_unused_blobs,
        many_rows.insert_unused_previews,
        many_rows.insert_discarded,
        many_rows.insert_old_uploads,
        many_rows.insert_uploads_of_unused_blob,
    ],
)
def test_collect_cost_grows_with_the_number_of_rows(insert: Callable[[Database, int], None]) -> None:
    few, many = count_steps(insert, FEW), count_steps(insert, TIMES_AS_MANY * FEW)
    assert few < many < MAX_RATIO * few


def test_collect_looks_for_expired_versions_in_indexes_of_few_rows() -> None:
    with open_database() as (database, folder):
        insert_teams(database, [TeamSpec(version_counts=(3, 8))])
        with record_queries(database.engine) as statements:
            collect_garbage(database, LocalStore(folder, b"x" * 32), Settings(data_dir=folder), RunOptions(is_dry=True))
        with database.engine.connect() as connection:
            steps = "\n".join(statements.plans(connection)).splitlines()
    assert "SEARCH model_versions USING INDEX ix_model_versions_deleted_at (deleted_at<?)" in steps
    lookups = [step for step in steps if "ix_models_several_versions (team_id=? AND version_count>?)" in step]
    assert len(lookups) == 1 + 2  # of all teams, and of one team for the versions and for their blobs
    assert "SEARCH models USING COVERING INDEX" in lookups[0]
