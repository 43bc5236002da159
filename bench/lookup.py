"""Lookups of a thousand hashes or paths in a registry of a million models, on both databases."""

import gc
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from bench import generated_models
from bench.scale import no_database
from bench.table import Goal, Table
from modelyard.server.database.session import Database
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.state import Identity
from modelyard.server.models.lookup import look_up_models
from modelyard.server.models.tables import ModelRow
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes import MAX_LOOKUPS, ModelLookup
from modelyard.wire.teams import Role
from tests.postgres import RunningPostgres
from tests.server.harness import Harness

ROUNDS = 60
MAX_MILLISECONDS = 50.0
# Each kind of question: its name, a column of blobs, and the text that asks for a value of it.
KINDS: tuple[tuple[str, InstrumentedAttribute[Any], Callable[[str], str]], ...] = (
    ("SHA-256 in full", BlobRow.sha256, str),
    ("`sha256:` and 64 digits", BlobRow.sha256, "sha256:{}".format),
    ("AutoV2, 10 digits", BlobRow.sha256, lambda digest: digest[:10].upper()),
    ("AutoV3, 12 digits", BlobRow.autov3, lambda digest: digest[:12]),
    ("CRC32, 8 digits", BlobRow.crc32, str),
    ("BLAKE3 in full", BlobRow.blake3, str),
    ("64 digits that nothing has", BlobRow.sha256, lambda digest: digest[::-1]),
)


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Look up in a registry of so many models, on one database after the other."""
    with RunningPostgres() as postgres:
        for name, create_database in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            rows, goals = [], []
            for kind, times in _measure_database(home / name, create_database, models):
                median, worst = times[len(times) // 2], times[int(len(times) * 0.95)]
                rows.append([kind, f"{median:.1f}", f"{worst:.1f}"])
                goals.append(Goal(f"{name}: lookup, {kind}, p95 ms", worst, MAX_MILLISECONDS, at_least=False))
            title = f"Lookups of {MAX_LOOKUPS:,} at {models:,} models on {name}, in milliseconds"
            yield [Table(title, ["", "p50", "p95"], rows)], goals


def _measure_database(
    home: Path, create_database: Callable[[], AbstractContextManager[str | None]], models: int
) -> Iterator[tuple[str, list[float]]]:
    """Fill a registry, and yield each kind of question with its sorted times in milliseconds."""
    with (
        create_database() as url,
        open_resources(Settings(data_dir=home, database_url=url), Identity()) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        began = time.perf_counter()
        database, team_id = resources.database, UUID(registry.team_id)
        generated_models.insert_models(database, team_id, models, have_own_blobs=True)
        if url is not None:
            with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
        print(f"{models:,} models written in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        owner = Caller("user", UUID(registry.owner.user_id), None, None, None, "write", "Owner", None)
        team = TeamContext(owner, team_id, Role.OWNER)
        for kind, lookups in list(_build_lookups(database)):
            # What the benchmark itself holds is not to be collected again and again.
            gc.collect()
            gc.freeze()
            yield kind, sorted(_time(database, team, lookup) for lookup in lookups)


def _build_lookups(database: Database) -> Iterator[tuple[str, list[ModelLookup]]]:
    """Yield the lookups of each kind: other models each time, chosen at random but the same in each run."""
    random_source = random.Random(1)  # noqa: S311 - samples are no secrets
    with database.reading() as session:
        for kind, column, build_text in KINDS:
            known = select(column).where(BlobRow.crc32.is_not(None)).order_by(BlobRow.id)
            texts = [build_text(digest) for digest in session.scalars(known.limit(ROUNDS * MAX_LOOKUPS))]
            count = min(MAX_LOOKUPS, len(texts))
            yield kind, [ModelLookup(hashes=random_source.sample(texts, count)) for _ in range(ROUNDS)]
        paths = session.scalars(select(ModelRow.model_path).order_by(ModelRow.id).limit(ROUNDS * MAX_LOOKUPS)).all()
        count = min(MAX_LOOKUPS, len(paths))
        yield "paths", [ModelLookup(paths=random_source.sample(paths, count)) for _ in range(ROUNDS)]


def _time(database: Database, team: TeamContext, lookup: ModelLookup) -> float:
    """Return the milliseconds of one lookup, from the parsed request to the response's JSON."""
    began = time.perf_counter()
    with database.reading() as session:
        look_up_models(session, team, lookup).model_dump_json()
    return (time.perf_counter() - began) * 1e3
