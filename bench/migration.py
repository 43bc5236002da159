"""Migration from the schema before versions (0015) to the current one, with many models, on SQLite and PostgreSQL."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from bench.table import Goal, Table
from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.postgres import RunningPostgres
from tests.server.database.first_release import FirstRelease, upgrade_to

BEFORE_VERSIONS = "0015"
# One model row in ten belongs to a chain of five; every second chain ends in a model that waits for verification.
CHAIN_LENGTH = 5
ROWS_PER_CHAIN = 50
MAX_SECONDS = 60.0
BATCH_SIZE = 10_000
FIRST_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)

TABLES = ("blobs", "models", "uploads", "audit_events")

Values = Mapping[str, Any]


class OldModel:
    """A model row of the old schema, with its blob, upload and audit events."""

    def __init__(self, number: int, path: str, replaces: "OldModel | None" = None, *, is_pending: bool = False) -> None:
        self.ids = {table: UUID(int=(index << 64) + number) for index, table in enumerate(TABLES, start=1)}
        self.path = path
        self.replaces = replaces
        self.is_pending = is_pending
        self.successor: OldModel | None = None
        self._number = number
        if replaces is not None:
            replaces.successor = self

    def build_rows(self) -> dict[str, list[Values]]:
        """Return the values of its rows by table, without those that every row of the table has."""
        created_at = (FIRST_CREATED_AT + timedelta(seconds=30 * self._number)).strftime("%Y-%m-%d %H:%M:%S.%f")
        key, sha256 = f"models/bench/{self._number}", f"{self._number:064x}"
        state: dict[str, Any] = {"verification": "pending" if self.is_pending else "verified", "created_at": created_at}
        state |= {"verified_at": None if self.is_pending else created_at}
        ids = {table: row_id.hex for table, row_id in self.ids.items()}
        of_blob = {"blob_id": ids["blobs"], "storage_key": key}
        model = of_blob | state | {"id": ids["models"], "file_hash": f"sha256:{sha256}", "display_name": self.path}
        model |= {"model_path": self.path, "path_key": self.path, "searched": self.path}
        model |= {
            "deleted_at": None if self.successor is None else created_at,
            "stands_in_for": self._find_unverified_successor(),
        }
        return {
            "blobs": [state | {"id": ids["blobs"], "store_key": key, "sha256": sha256}],
            "models": [model],
            "uploads": [of_blob | {"id": ids["uploads"], "model_id": ids["models"]}],
            "audit_events": list(self._build_events()),
        }

    def _find_unverified_successor(self) -> str | None:
        """Return the id of its successor if that is not verified yet: machines get this model until then."""
        return self.successor.ids["models"].hex if self.successor and self.successor.is_pending else None

    def _build_events(self) -> Iterator[Values]:
        event: dict[str, Any] = {"id": self.ids["audit_events"].hex, "object_id": str(self.ids["models"])}
        event |= {"action": "model.registered", "facts": {"model_path": self.path}}
        if self.replaces is not None:
            replaced = str(self.replaces.ids["models"])
            event["facts"] = {"model_path": self.path, "replaces": replaced}
            # Its id is that of the event before it, plus one bit that no number has.
            event_id = UUID(int=self.ids["audit_events"].int | 1 << 60).hex
            yield {"id": event_id, "action": "model.replaced", "facts": {}, "object_id": replaced}
        yield event


def measure(home: Path, models: int) -> tuple[list[Table], list[Goal]]:
    """Time the migration of a database with this many model rows, rounded down to whole groups with a chain each."""
    models -= models % ROWS_PER_CHAIN
    with RunningPostgres() as postgres:
        databases = {"SQLite": use_sqlite(home / "migration.sqlite3"), "PostgreSQL": postgres.database()}
        seconds = {name: _time_migration(home / name, opened, models) for name, opened in databases.items()}
    table = Table(
        f"Migration of {models:,} models to versions",
        ["", "seconds"],
        [[name, f"{measured:.1f}"] for name, measured in seconds.items()],
    )
    goals = [
        Goal(f"{name}: seconds of the migration", measured, MAX_SECONDS, at_least=False)
        for name, measured in seconds.items()
    ]
    return [table], goals


@contextmanager
def use_sqlite(file: Path) -> Iterator[str]:
    """Yield the URL of a SQLite database."""
    yield f"sqlite:///{file}"


def _time_migration(home: Path, opened: AbstractContextManager[str], models: int) -> float:
    """Fill a database at the old schema, migrate it, check the result, and return the seconds of the migration."""
    with opened as url:
        FirstRelease().write(url, home)
        with closing(Database(url)) as database:
            upgrade_to(database, BEFORE_VERSIONS)
            before = _count_rows(database, "models")
            began = time.perf_counter()
            rows = generate_models(models)
            while batch := list(islice(rows, BATCH_SIZE)):
                _insert_models(database, batch)
            print(f"{models:,} models written in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        # Connections of a server that starts, with its cache size.
        with closing(Database(url)) as database:
            began = time.perf_counter()
            migrate(database.engine)
            seconds = time.perf_counter() - began
            _check_result(database, before, models)
            return seconds


def generate_models(models: int) -> Iterator[OldModel]:
    """Generate models of which some were replaced, each chain as a whole, oldest first."""
    numbers = count(1)
    for start in range(0, models, ROWS_PER_CHAIN):
        chain = [OldModel(next(numbers), f"loras/nightly-{start}.safetensors")]
        for link in range(1, CHAIN_LENGTH):
            newest = chain[-1]
            is_pending = link == CHAIN_LENGTH - 1 and start // ROWS_PER_CHAIN % 2 == 1
            chain.append(OldModel(next(numbers), newest.path, newest, is_pending=is_pending))
        yield from chain
        for _ in range(ROWS_PER_CHAIN - CHAIN_LENGTH):
            number = next(numbers)
            yield OldModel(number, f"loras/model-{number}.safetensors")


def _insert_models(database: Database, models: Iterable[OldModel]) -> None:
    """Insert the rows of these models as copies of each table's first row with other values."""
    rows: dict[str, list[Values]] = {table: [] for table in TABLES}
    for model in models:
        for table, values in model.build_rows().items():
            rows[table] += values
    with database.engine.begin() as connection:
        if is_sqlite(database.engine):
            # Index pages are written in random order.
            connection.execute(text("PRAGMA cache_size=-1000000"))
        for table, values in rows.items():
            _insert_copies(connection, table, values)


def _insert_copies(connection: Connection, table: str, rows: list[Values]) -> None:
    first = connection.execute(text(f"SELECT * FROM {table} LIMIT 1")).mappings().one()  # noqa: S608 - our own names
    names, places = ", ".join(first.keys()), ", ".join(f":{name}" for name in first)
    statement = text(f"INSERT INTO {table} ({names}) VALUES ({places})")  # noqa: S608 - our own names
    connection.execute(statement, [_encode_json({**first, **row}) for row in rows])


def _encode_json(row: Values) -> dict[str, Any]:
    return {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}


def _count_rows(database: Database, table: str, condition: str = "true") -> int:
    with database.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {condition}")).scalar_one())  # noqa: S608 - our own names


def _check_result(database: Database, before: int, models: int) -> None:
    """Check that each row became a version, and each chain one model that machines still get.

    Raises:
        RuntimeError: the migration lost or invented rows.
    """
    chains = models // ROWS_PER_CHAIN
    found = (
        _count_rows(database, "model_versions"),
        _count_rows(database, "models"),
        _count_rows(database, "models", f"latest_version = {CHAIN_LENGTH} AND current_version IS NOT NULL"),
    )
    expected = (before + models, before + models - chains * (CHAIN_LENGTH - 1), chains)
    if found != expected:
        raise RuntimeError(f"The migration left {found} versions, models and chains, not {expected}.")
