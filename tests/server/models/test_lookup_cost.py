"""What a lookup costs does not depend on what the team has, on both databases: statements, rows, and SQLite's steps."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.models.lookups.operations import look_up_models
from modelyard.server.models.responses.lookup_result import build_records, encode_result
from modelyard.server.models.responses.record_parts import RECORDS_AT_ONCE
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import TRASH_DAYS
from modelyard.wire.hashes.lookups import (
    MAX_LOOKUPS,
    MAX_MATCHES_OF_ALL_HASHES,
    MAX_MATCHES_PER_HASH,
    MAX_RECORDS,
    ModelLookup,
)
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.query_plans import CountedSteps, count_sqlite_steps, record_queries

SHA256, PATH = "5a" * 32, "loras/{}.safetensors"
# More than any limit allows, and four times as many.
FEW, MANY = MAX_MATCHES_PER_HASH + 50, 4 * (MAX_MATCHES_PER_HASH + 50)
# All beginnings of one hash, in three spellings each; and paths of models that are not among the newest.
BEGINNINGS = [f"{prefix}{SHA256[:digits]}" for prefix in ("", "0x", "sha256:") for digits in range(10, 65)]
EXPENSIVE = ModelLookup(
    hashes=BEGINNINGS, paths=[PATH.format(n) for n in range(FEW - MAX_MATCHES_PER_HASH)], records=True
)


class Cost(NamedTuple):
    """What one lookup costs: statements, the rows that they return, and steps of SQLite's virtual machine."""

    statements: int
    rows: int
    steps: int


def add_ids(team: TeamModels, lookup: ModelLookup) -> ModelLookup:
    """Return the lookup with the ids of some of the team's models."""
    with team.database.reading() as session:
        ids = session.scalars(
            select(ModelRow.id).where(ModelRow.team_id == team.team_id).order_by(ModelRow.id).limit(20)
        )
        return lookup.model_copy(update={"ids": [*ids, *(uuid4() for _ in range(20))]})


def measure(team: TeamModels, lookup: ModelLookup, context: TeamContext | None = None) -> Cost:
    """Return what a lookup costs the owner, or this caller; its statements are run again to count their rows."""
    database, counted = team.database, CountedSteps()
    with ExitStack() as stack:
        statements = stack.enter_context(record_queries(database.engine))
        if is_sqlite(database.engine):
            counted = stack.enter_context(count_sqlite_steps(database.engine))
        session = stack.enter_context(database.reading())
        found = look_up_models(session, context or team.team, lookup)
        encode_result(found, build_records(session, team.team, found, TRASH_DAYS) if lookup.records else None)
    with database.engine.connect() as connection:
        rows = [connection.exec_driver_sql(statement, values).all() for statement, values in statements.sent]
    return Cost(len(statements.sent), sum(map(len, rows)), counted.steps)


def insert_copies(team: TeamModels, count: int, **columns: Any) -> None:
    """Insert models with one content, each at its path."""
    blob_id = team.insert_blob(sha256=SHA256, crc32="c3c3c3c3", autov3=SHA256, autov1=SHA256[:8])
    insert_models(team, [blob_id] * count, **columns)


def insert_models(team: TeamModels, blob_ids: list[UUID], **columns: Any) -> None:
    """Insert a model for each blob, verified."""
    team.insert(
        ModelSpec(
            f"{n}",
            n,
            columns={"blob_id": blob_id, "path_key": PATH.format(n), "model_path": PATH.format(n)}
            | {"verified_at": BEGAN}
            | columns,
        )
        for n, blob_id in enumerate(blob_ids)
    )


def insert_trashed(team: TeamModels, count: int) -> None:
    insert_copies(team, count, deleted_at=BEGAN)


def insert_prefixes(team: TeamModels, count: int) -> None:
    """Insert contents whose hashes of each kind have the first digits in common."""
    first = SHA256[:56]
    blobs = [{"sha256": f"{first}{n:08x}", "blake3": f"{first}{n:08x}"} for n in range(count)]
    others = {"crc32": SHA256[:8], "autov1": SHA256[:8]}
    insert_models(team, team.insert_blobs(each | others for each in blobs))


def insert_tensors(team: TeamModels, count: int) -> None:
    """Insert contents with the same tensors and other metadata."""
    insert_models(team, team.insert_blobs({"sha256": f"{n:064x}", "autov3": SHA256} for n in range(count)))


def insert_declared(team: TeamModels, count: int) -> None:
    """Insert contents that were only declared to have the hash."""
    team.insert_blobs([{"sha256": SHA256, "verification": "failed", "verified_at": None}] * count)
    insert_copies(team, 1)


def insert_without_models(team: TeamModels, count: int) -> None:
    """Insert contents that no model has, as of files of folders."""
    team.insert_blobs([{"sha256": SHA256}] * count)


def insert_versions(team: TeamModels, count: int) -> None:
    """Insert a model with many versions of one content, of which none is current."""
    blob_id = team.insert_blob(sha256=SHA256)
    team.insert_versions(ModelSpec("versions", columns={"latest_version": count + 1}), [blob_id] * count)


SHAPES: dict[str, Callable[[TeamModels, int], None]] = {
    "models of one content": insert_copies,
    "models in the trash": insert_trashed,
    "contents with one beginning": insert_prefixes,
    "contents with the same tensors": insert_tensors,
    "contents that only declare the hash": insert_declared,
    "contents without models": insert_without_models,
    "versions of one model": insert_versions,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_lookup_costs_the_same_with_four_times_as_much(database: Database, shape: str) -> None:
    costs = []
    for count in (FEW, MANY):
        team = TeamModels(database)
        SHAPES[shape](team, count)
        costs.append(measure(team, add_ids(team, EXPENSIVE)))
    few, many = costs
    assert (many.statements, many.rows) == (few.statements, few.rows)
    # Steps are counted by ten, and where a search in an index ends differs by one.
    assert many.steps <= 1.01 * few.steps


def test_lookup_with_a_machines_key_costs_the_same_with_four_times_as_much(database: Database) -> None:
    lookup, costs = EXPENSIVE.model_copy(update={"records": False}), []
    for count in (FEW, MANY):
        team = TeamModels(database)
        insert_copies(team, count, label_set="gpu24")
        with_labels, without = team.insert_machines(3, "gpu24"), team.insert_machines(3, "")
        asked = add_ids(team, lookup)
        costs.append([measure(team, asked, context) for context in (None, with_labels, without)])
    few, many = costs
    assert [each[:2] for each in many] == [each[:2] for each in few]
    assert all(each.steps <= 1.01 * before.steps for before, each in zip(few, many, strict=True))
    of_person, of_machine, of_other = (each.statements for each in few)
    # The labels of the key's machines, and its assignments of what these labels do not give it by hash, path and id.
    assert (of_machine, of_other) == (of_person + 1, of_person + 1 + 3)


def test_lookup_with_the_key_of_many_machines_reads_each_set_of_labels_once(database: Database) -> None:
    team = TeamModels(database)
    insert_copies(team, 1, label_set="gpu24")
    costs = [measure(team, EXPENSIVE, team.insert_machines(count, "gpu24")) for count in (1, 20)]
    assert (costs[1].statements, costs[1].rows) == (costs[0].statements, costs[0].rows)


@pytest.mark.slow
def test_lookup_of_1000_hashes_with_very_many_matches_is_within_its_limits(database: Database) -> None:
    team = TeamModels(database)
    # Each text is an AutoV3 and a CRC-32 of its own, each of which four contents have.
    texts = [f"{n:08x}" for n in range(1, MAX_LOOKUPS + 1)]
    blobs = [{"autov3": None, "crc32": None} | {kind: text} for text in texts for kind in ("autov3", "crc32")]
    insert_models(team, team.insert_blobs(each for each in blobs for _ in range(4)))
    lookup = ModelLookup(hashes=texts, records=True)
    cost = measure(team, lookup)
    kinds_of_hash, statements_for_records = 5, MAX_RECORDS // RECORDS_AT_ONCE + 1
    assert cost.statements <= 3 * kinds_of_hash + 3 + statements_for_records
    # Two rows of each key on the average, then a share of each and a row that shows whether there are more.
    of_kind = 2 * MAX_LOOKUPS + 2 * (MAX_MATCHES_OF_ALL_HASHES + MAX_LOOKUPS)
    of_versions = 2 * 2 * MAX_MATCHES_OF_ALL_HASHES
    assert cost.rows <= kinds_of_hash * of_kind + of_versions + MAX_RECORDS
    with database.reading() as session:
        found = look_up_models(session, team.team, lookup)
    assert len(found["match_list"]) == MAX_MATCHES_OF_ALL_HASHES
    assert found["capped_list"] == texts
    assert {match["asked"] for match in found["match_list"]} == {*texts}


@pytest.mark.parametrize(("digits", "statements"), [(64, 3), (10, 4)])
def test_lookup_of_1000_hashes_with_one_model_each_takes_few_statements(
    database: Database, digits: int, statements: int
) -> None:
    team = TeamModels(database)
    hashes = [f"{n:08x}" * 8 for n in range(1, MAX_LOOKUPS + 1)]
    insert_models(team, team.insert_blobs({"sha256": sha256} for sha256 in hashes))
    cost = measure(team, ModelLookup(hashes=[sha256[:digits] for sha256 in hashes]))
    assert (cost.statements, cost.rows) == (statements, 2 * MAX_LOOKUPS)
