"""Lookups of a thousand hashes, paths or ids in a registry of a million models, on both databases."""

import gc
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from bench.filled_team import CreateDatabase, open_filled_team
from bench.scale import no_database
from bench.table import Goal, Table
from modelyard.server.database.session import Database
from modelyard.server.models.lookups.operations import look_up_models
from modelyard.server.models.responses.lookup_result import build_records, encode_result
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import TRASH_DAYS
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes.lookups import MAX_LOOKUPS, MAX_RECORDS, ModelLookup
from tests.postgres import RunningPostgres

ROUNDS = 60
MAX_MILLISECONDS = 50.0
# Models that have the same content.
SHARED_MODELS = 2_000
# A million models have 6 GB; PostgreSQL recommends a quarter of the memory, and has 128 MB by default.
SHARED_BUFFERS = "2GB"
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
# Milliseconds on the clock, and of CPU time.
Times = tuple[float, float]


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Look up in a registry of so many models, on one database after the other."""
    with RunningPostgres(shared_buffers=SHARED_BUFFERS) as postgres:
        for name, create_database in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            rows, goals = [], []
            for kind, times in _measure_database(home / name, create_database, models):
                walls, cpus = (sorted(each) for each in zip(*times, strict=True))
                worst = walls[int(len(walls) * 0.95)]
                rows.append([kind, f"{walls[len(walls) // 2]:.1f}", f"{worst:.1f}", f"{cpus[len(cpus) // 2]:.1f}"])
                goals.append(Goal(f"{name}: lookup, {kind}, p95 ms", worst, MAX_MILLISECONDS, at_least=False))
            title = f"Lookups of {MAX_LOOKUPS:,} at {models:,} models on {name}, in milliseconds"
            yield [Table(title, ["", "p50", "p95", "p50 of CPU time"], rows)], goals


def _measure_database(home: Path, create_database: CreateDatabase, models: int) -> Iterator[tuple[str, list[Times]]]:
    """Fill a registry, and yield each kind of question with the times of its lookups."""
    with open_filled_team(home, create_database, models, have_own_blobs=True) as (database, team, _):
        for kind, lookups in list(_build_lookups(database, _share_content(database, team))):
            # What the benchmark itself holds is not to be collected again and again.
            gc.collect()
            gc.freeze()
            yield kind, [_time(database, team, lookup) for lookup in lookups]


def _build_lookups(database: Database, shared: str) -> Iterator[tuple[str, list[ModelLookup]]]:
    """Yield the lookups of each kind: other models each time, chosen at random but the same in each run.

    ``shared`` is the hash of the content that many models have.
    """
    random_source = random.Random(1)  # noqa: S311 - samples are no secrets
    with database.reading() as session:
        for kind, column, build_text in KINDS:
            known = select(column).where(BlobRow.crc32.is_not(None)).order_by(BlobRow.id)
            texts = [build_text(digest) for digest in session.scalars(known.limit(ROUNDS * MAX_LOOKUPS))]
            count = min(MAX_LOOKUPS, len(texts))
            yield kind, [ModelLookup(hashes=random_source.sample(texts, count)) for _ in range(ROUNDS)]
        models = session.execute(select(ModelRow.id, ModelRow.model_path).order_by(ModelRow.id))
        ids, paths = zip(*models.fetchmany(ROUNDS * MAX_LOOKUPS), strict=True)
    count = min(MAX_LOOKUPS, len(paths))
    yield "paths", [ModelLookup(paths=random_source.sample(paths, count)) for _ in range(ROUNDS)]
    yield "ids", [ModelLookup(ids=random_source.sample(ids, count)) for _ in range(ROUNDS)]
    some = min(MAX_RECORDS, count)
    with_records = [ModelLookup(ids=random_source.sample(ids, some), records=True) for _ in range(ROUNDS)]
    yield f"{some} ids, with records", with_records
    beginnings = [shared[: 10 + number % 50] for number in range(MAX_LOOKUPS // 2)]
    samples = [random_source.sample(paths, count // 2) for _ in range(ROUNDS)]
    expensive = [ModelLookup(hashes=beginnings, paths=half, records=True) for half in samples]
    yield f"beginnings of the hash of {SHARED_MODELS:,} models, and paths, with records", expensive


def _share_content(database: Database, team: TeamContext) -> str:
    """Give ``SHARED_MODELS`` models the content of one of them, and return its SHA-256."""
    with database.writing(team.team_id) as session:
        models = session.execute(select(ModelRow.id, ModelRow.blob_id).order_by(ModelRow.id).limit(SHARED_MODELS)).all()
        blob_id = models[0].blob_id
        have_content = ModelVersionRow.model_id.in_([model.id for model in models])
        session.execute(update(ModelVersionRow).where(have_content).values(blob_id=blob_id))
        return session.get_one(BlobRow, blob_id).sha256


def _time(database: Database, team: TeamContext, lookup: ModelLookup) -> Times:
    """Return the milliseconds of one lookup, from the parsed request to the response's JSON, and those of CPU time.

    CPU time is that of this process: on SQLite all that a lookup costs, on PostgreSQL without the database's.
    """
    began, began_cpu = time.perf_counter(), time.process_time()
    with database.reading() as session:
        found = look_up_models(session, team, lookup)
        records = build_records(session, team, found, TRASH_DAYS) if lookup.records else None
    encode_result(found, records)
    return (time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3
