"""Finding many models at once by hashes of their content, by paths and by ids, and the hashes of one model.

A lookup has up to a thousand hashes and ten thousand matches, so its rows are not parsed and validated one by one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, TypedDict
from uuid import UUID

import uuid_utils
from sqlalchemy import ColumnElement, FromClause, Integer, Row, Select, String, Uuid, bindparam, cast, func, select
from sqlalchemy.orm import Session

from modelyard.server.database.search import is_sqlite_session, join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.database.text_list import build_text_list, encode_text_list, join_rows
from modelyard.server.inspection.description.training_metadata import CLAIM_NAMES
from modelyard.server.models.operations import find_model
from modelyard.server.models.replicas.key_access import find_models_of_key
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.access import get_readable_version
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.hashes import HASH_COLUMNS, HashColumn, build_blobs_query, get_hash_column
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes.lookups import MAX_LOOKUPS, HashClaim, MatchName, ModelHashes, ModelLookup
from modelyard.wire.hashes.texts import AUTOV2_DIGITS, DIGITS_IN_FULL, split_hash
from modelyard.wire.paths import build_path_key, get_canonical_type

# A hash can have many matches: models with the same content, and contents with the same first digits.
MAX_MATCHES = 10_000
_models, _versions = get_table(ModelRow), get_table(ModelVersionRow)
_Row = Row[*tuple[Any, ...]]


class Match(TypedDict):
    """A version of a model that a hash, path or id means, with the fields of ``LookupMatch``."""

    asked: str
    matched_by: MatchName
    id: str
    version: int
    model_path: str


class Matches(TypedDict):
    """What a lookup found, with the fields of ``LookupResult``."""

    match_list: list[Match]
    is_capped: bool


def look_up_models(session: Session, team: TeamContext, lookup: ModelLookup) -> Matches:
    """Return the team's models that the hashes, paths and ids mean, outside the trash; by hash, any verified version.

    A machine's key finds only what its manifests list. At most ``MAX_MATCHES`` are returned.
    """
    by_hash, by_path = _match_hashes(session, team, lookup.hashes), _match_paths(session, team, lookup.paths)
    # Never all: a thousand spellings of one hash may have ten thousand matches each.
    matches = list(islice(chain(by_hash, by_path, _match_ids(session, team, lookup.ids)), MAX_MATCHES + 1))
    return {"match_list": matches[:MAX_MATCHES], "is_capped": len(matches) > MAX_MATCHES}


def _build_match(asked: str, matched_by: MatchName, version: _Row) -> Match:
    return {
        "asked": asked,
        "matched_by": matched_by,
        "id": str(uuid_utils.UUID(version.id)),
        "version": version.number,
        "model_path": version.model_path,
    }


def _match_hashes(session: Session, team: TeamContext, hashes: Iterable[str]) -> Iterator[Match]:
    """Yield the versions with each hash, each once with the most reliable kind of hash."""
    hashes_by_text = {text: split_hash(text) for text in hashes}
    digits_by_column: dict[HashColumn, dict[str, None]] = {column: {} for column in HASH_COLUMNS}
    for names, digits in hashes_by_text.values():
        for name in names:
            digits_by_column[get_hash_column(name)][digits] = None
    versions: dict[HashColumn, Mapping[str, Sequence[_Row]]] = {}
    for column, wanted in digits_by_column.items():
        # The SHA-256 of one content is not the BLAKE3 of another, except by a collision between both.
        known = versions["sha256"] if column == "blake3" else {}
        unknown = [digits for digits in wanted if len(digits) < DIGITS_IN_FULL or digits not in known]
        versions[column] = _load_versions(session, team, column, unknown)
    for text, (names, digits) in hashes_by_text.items():
        seen = set[tuple[str, int]]()
        for name in names:
            for version in versions[get_hash_column(name)].get(digits, ()):
                if (version.id, version.number) not in seen:
                    seen.add((version.id, version.number))
                    yield _build_match(text, name, version)


def _match_paths(session: Session, team: TeamContext, paths: Iterable[str]) -> Iterator[Match]:
    """Yield the shown version of the model at each path, or at one that is the same file on some machine."""
    keys = {path: _build_path_key(path) for path in paths}
    models = {model.path_key: model for model in _load_models_at(session, team, {*keys.values()})}
    for path, key in keys.items():
        if key in models:
            yield _build_match(path, "path", models[key])


def _match_ids(session: Session, team: TeamContext, ids: Collection[UUID]) -> Iterator[Match]:
    """Yield the shown version of each model."""
    if not ids:
        return
    statement = _select_models(_models, _shown_version(_models), is_agent=team.caller.kind == "agent")
    statement = statement.where(_models.c.team_id == team.team_id, _models.c.id.in_({*ids}))
    models = {UUID(row.id): row for row in _filter_by_machines(session, team, session.execute(statement).all())}
    for model_id in dict.fromkeys(ids):
        if model_id in models:
            yield _build_match(str(model_id), "id", models[model_id])


def load_found_models(session: Session, team: TeamContext, found: Matches) -> Sequence[ModelRow]:
    """Return the models of the first ``MAX_LOOKUPS`` matches, each once."""
    ids = {UUID(match["id"]) for match in found["match_list"][:MAX_LOOKUPS]}
    of_team = select(ModelRow).where(ModelRow.team_id == team.team_id, ModelRow.id.in_(ids))
    return session.scalars(of_team).all()


def _build_path_key(model_path: str) -> str:
    """Return the key of a path, see ``wire.paths``; one that no model can have finds none."""
    model_type, _, rest = model_path.removeprefix("models/").partition("/")
    return build_path_key(get_canonical_type(model_type), rest)


def _load_versions(
    session: Session, team: TeamContext, column: HashColumn, digits: Collection[str]
) -> Mapping[str, Sequence[_Row]]:
    """Return the versions outside the trash, that the caller may see, by the first digits of a hash of their content.

    Those with the same content are sorted by path and number.
    """
    if not digits:
        return {}
    statement = _build_versions_query(
        column, is_agent=team.caller.kind == "agent", is_sqlite=is_sqlite_session(session)
    )
    values = {"team": team.team_id, "hashes": encode_text_list(digits), "limit": MAX_MATCHES}
    groups: dict[str, list[_Row]] = {}
    for row in _filter_by_machines(session, team, session.connection().execute(statement, values).all()):
        groups.setdefault(row.digits, []).append(row)
    return {digits: group if len(group) == 1 else _sort_versions(group) for digits, group in groups.items()}


def _sort_versions(rows: Sequence[_Row]) -> list[_Row]:
    """Return the rows with the blobs in the same order, and those of each blob sorted by path and number."""
    places = {blob_id: place for place, blob_id in enumerate(dict.fromkeys(row.blob_id for row in rows))}
    return sorted(rows, key=lambda row: (places[row.blob_id], row.model_path, row.number))


@cache
def _build_versions_query(column: HashColumn, *, is_agent: bool, is_sqlite: bool) -> Select[Any]:
    """Build the query for the versions with blobs of a hash; for a machine's key, only current ones."""
    blobs = build_blobs_query(column, verified_only=True, is_sqlite=is_sqlite).subquery("found_blobs")
    has_blob = (_versions.c.blob_id == blobs.c.blob_id) & _versions.c.deleted_at.is_(None)
    limit = bindparam("limit", type_=Integer())
    source, versions = join_rows(blobs, _versions, has_blob, limit, is_sqlite=is_sqlite)
    statement = _select_models(_models, blobs.c.digits, blobs.c.blob_id, versions.c.number, is_agent=is_agent)
    statement = statement.select_from(join_left_to_right(source, _models, _models.c.id == versions.c.model_id))
    return statement.where(versions.c.number == _models.c.current_version) if is_agent else statement


def _load_models_at(session: Session, team: TeamContext, path_keys: Collection[str]) -> Sequence[_Row]:
    """Return the models at these paths that the caller may see, with the number of the version that each shows."""
    if not path_keys:
        return []
    statement = _build_paths_query(is_agent=team.caller.kind == "agent", is_sqlite=is_sqlite_session(session))
    values = {"team": team.team_id, "path_keys": encode_text_list(path_keys), "limit": MAX_MATCHES}
    return _filter_by_machines(session, team, session.connection().execute(statement, values).all())


@cache
def _build_paths_query(*, is_agent: bool, is_sqlite: bool) -> Select[Any]:
    """Build the query for the models of a team at many paths."""
    keys, limit = build_text_list("path_keys"), bindparam("limit", type_=Integer())
    is_at_path = (_models.c.team_id == bindparam("team", type_=Uuid())) & (_models.c.path_key == keys.c.value)
    is_at_path &= _models.c.deleted_at.is_(None)
    source, models = join_rows(keys, _models, is_at_path, limit, is_sqlite=is_sqlite)
    return _select_models(models, models.c.path_key, _shown_version(models), is_agent=is_agent).select_from(source)


def _shown_version(models: FromClause) -> ColumnElement[Any]:
    """Return the column with the number of the version that a model shows."""
    return func.coalesce(models.c.current_version, models.c.pending_version).label("number")


def _select_models(models: FromClause, *columns: ColumnElement[Any], is_agent: bool) -> Select[Any]:
    """Build the query for models outside the trash; for a machine's key, those that any machine could have to hold."""
    model_id = cast(models.c.id, String()).label("id")
    statement = select(model_id, models.c.model_path, *columns).where(models.c.deleted_at.is_(None))
    if not is_agent:
        return statement
    is_desired = (models.c.model_status == "active") & models.c.verified_at.is_not(None)
    return statement.add_columns(models.c.label_set).where(is_desired)


def _filter_by_machines(session: Session, team: TeamContext, rows: Sequence[_Row]) -> Sequence[_Row]:
    """Return all rows, or for a machine's key those that one of its machines should hold, or that need no labels."""
    if team.caller.kind != "agent":
        return rows
    ids = {row.id: UUID(row.id) for row in rows if row.label_set}
    visible = find_models_of_key(session, team, {ids[row.id]: row.label_set for row in rows if row.id in ids})
    return [row for row in rows if row.id not in ids or ids[row.id] in visible]


def get_hashes(session: Session, team: TeamContext, model_id: UUID, number: int | None) -> ModelHashes:
    """Return the known hashes of a version's content, and those that its file claims; without ``number`` the shown one.

    Raises:
        ModelNotFound, VersionNotFound
    """
    model = find_model(session, team, model_id)
    version = get_readable_version(session, team, model, model.shown_version if number is None else number)
    blob = session.get_one(BlobRow, version.blob_id)
    sha256 = None if blob.verified_at is None else blob.sha256
    extra = version.facts.get("extra", {})
    return ModelHashes(
        sha256=sha256,
        blake3=blob.blake3,
        autov1=blob.autov1,
        autov2=sha256 and sha256[:AUTOV2_DIGITS],
        autov3=blob.autov3,
        crc32=blob.crc32,
        claim_list=[HashClaim(name=name, digest=str(extra[name])) for name in CLAIM_NAMES if name in extra],
    )
