"""Teams whose models have many old versions, inserted as rows: to upload them would take too long."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from modelyard.server.database.base import Row, new_id, now
from modelyard.server.database.session import Database, insert_rows
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.tables import BlobRow
from tests.server.models.model_factory import (
    ModelSpec,
    build_blob_row,
    build_model_row,
    build_team_row,
    build_totals_row,
    build_version_row,
)

# Older than the retention of any team of these tests.
AGE = timedelta(days=20_000)
_BATCH = 20_000


@dataclass(frozen=True)
class TeamSpec:
    """A team to insert: its retention, how many versions each of its models has, and columns of all versions.

    Each version has a blob of its own; the newest version is the current one.
    """

    kept_versions: int = 5
    kept_days: int = 30
    version_counts: tuple[int, ...] = ()
    version_columns: dict[str, Any] = field(default_factory=dict)


def insert_teams(database: Database, specs: Sequence[TeamSpec]) -> list[UUID]:
    """Insert teams with their models and versions, and return the teams' ids in the same order."""
    specs_by_id = {new_id(): spec for spec in specs}
    teams = [
        build_team_row(team_id, kept_versions=spec.kept_versions, kept_version_days=spec.kept_days)
        for team_id, spec in specs_by_id.items()
    ]
    _insert(database, TeamRow, teams)
    _insert(database, TeamTotalsRow, [build_totals_row(team_id) for team_id in specs_by_id])
    insert_models(database, specs_by_id)
    return list(specs_by_id)


def insert_models(database: Database, specs: Mapping[UUID, TeamSpec]) -> None:
    """Insert models of teams that exist, with their versions."""
    built = [rows for team_id, spec in specs.items() for rows in _build_models(team_id, spec)]
    _insert(database, BlobRow, [blob for _, _, blobs in built for blob in blobs])
    _insert(database, ModelRow, [model for model, _, _ in built])
    _insert(database, ModelVersionRow, [version for _, versions, _ in built for version in versions])


def list_version_numbers(database: Database) -> dict[UUID, list[int]]:
    """Return the numbers of all versions of each team, in the order of the models' insertion."""
    key = (ModelVersionRow.team_id, ModelVersionRow.model_id, ModelVersionRow.number)
    numbers = defaultdict[UUID, list[int]](list)
    with database.reading() as session:
        for row in session.execute(select(*key).order_by(*key)):
            numbers[row.team_id].append(row.number)
    return dict(numbers)


def _build_models(
    team_id: UUID, spec: TeamSpec
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yield the row of each model of a team, with the rows of its versions and of their blobs."""
    old = now() - AGE
    for count in spec.version_counts:
        blobs = [build_blob_row(team_id, store_key=f"models/{team_id}/{new_id()}") for _ in range(count)]
        numbers = {"current_version": count, "latest_version": count, "version_count": count}
        model = build_model_row(team_id, blobs[-1]["id"], ModelSpec("ink", columns=numbers))
        yield (
            model,
            [
                build_version_row(model, number, blob_id=blob["id"], kept_from=old, **spec.version_columns)
                for number, blob in enumerate(blobs, 1)
            ],
            blobs,
        )


def _insert(database: Database, kind: type[Row], rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _BATCH):
        with database.writing() as session:
            insert_rows(session, kind, rows[start : start + _BATCH])
