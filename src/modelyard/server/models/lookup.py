"""Finding many models at once by hashes of their content and by paths, and the hashes of one model."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Row, Select, Uuid, bindparam, cast, func, select
from sqlalchemy.orm import Session

from modelyard.server.database.search import is_sqlite_session, join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.database.text_list import build_text_list, encode_text_list, join_rows
from modelyard.server.inspection.training_metadata import CLAIM_NAMES
from modelyard.server.models.operations import find_model
from modelyard.server.models.replicas.key_access import list_label_sets_of_key
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.access import get_readable_version
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.hashes import find_blobs_by_hash
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes import (
    AUTOV2_DIGITS,
    HashCandidate,
    HashClaim,
    LookupMatch,
    LookupResult,
    MatchName,
    ModelHashes,
    ModelLookup,
    parse_hash,
)
from modelyard.wire.paths import build_path_key, get_canonical_type

# A hash can have many matches: models with the same content, and contents with the same first digits.
MAX_MATCHES = 10_000
_models, _versions = get_table(ModelRow), get_table(ModelVersionRow)


class _Match(NamedTuple):
    """A version of a model that a hash or path means."""

    asked: str
    matched_by: MatchName
    model: Row[*tuple[Any, ...]]


def look_up_models(session: Session, team: TeamContext, lookup: ModelLookup) -> LookupResult:
    """Return the team's models that the hashes and paths mean, outside the trash; by hash, any verified version.

    A machine's key finds only what its manifests list. At most ``MAX_MATCHES`` are returned.
    """
    by_hash, by_path = _match_hashes(session, team, lookup.hashes), _match_paths(session, team, lookup.paths)
    # Never all: a thousand spellings of one hash may have ten thousand matches each.
    matches = list(islice(chain(by_hash, by_path), MAX_MATCHES + 1))
    found = [
        LookupMatch(
            asked=match.asked,
            matched_by=match.matched_by,
            id=match.model.id,
            version=match.model.number,
            model_path=match.model.model_path,
        )
        for match in matches[:MAX_MATCHES]
    ]
    return LookupResult(match_list=found, is_capped=len(matches) > MAX_MATCHES)


def _match_hashes(session: Session, team: TeamContext, hashes: Iterable[str]) -> Iterator[_Match]:
    """Yield the versions with each hash, each once with the most reliable kind of hash."""
    candidates = {text: parse_hash(text) for text in hashes}
    wanted = (candidate for each in candidates.values() for candidate in each)
    blobs: dict[HashCandidate, list[str]] = {}
    for match in find_blobs_by_hash(session, team.team_id, wanted, MAX_MATCHES, verified_only=True):
        blobs.setdefault(match.candidate, []).append(match.blob_key)
    versions: dict[str, list[Row[*tuple[Any, ...]]]] = {}
    for version in _load_versions(session, team, {key for keys in blobs.values() for key in keys}):
        versions.setdefault(version.blob_key, []).append(version)
    for text, each in candidates.items():
        seen = set[tuple[UUID, int]]()
        for candidate in each:
            for version in (version for key in blobs.get(candidate, ()) for version in versions.get(key, ())):
                if (version.id, version.number) not in seen:
                    seen.add((version.id, version.number))
                    yield _Match(text, candidate.name, version)


def _match_paths(session: Session, team: TeamContext, paths: Iterable[str]) -> Iterator[_Match]:
    """Yield the shown version of the model at each path, or at one that is the same file on some machine."""
    keys = {path: _build_path_key(path) for path in paths}
    models = {model.path_key: model for model in _load_models_at(session, team, {*keys.values()})}
    for path, key in keys.items():
        if key in models:
            yield _Match(path, "path", models[key])


def _build_path_key(model_path: str) -> str:
    """Return the key of a path, see ``wire.paths``; one that no model can have finds none."""
    model_type, _, rest = model_path.removeprefix("models/").partition("/")
    return build_path_key(get_canonical_type(model_type), rest)


def _load_versions(session: Session, team: TeamContext, blob_keys: Collection[str]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the versions with these blobs, outside the trash, that the caller may see: by path and number."""
    if not blob_keys:
        return []
    is_agent = team.caller.kind == "agent"
    statement = _build_versions_query(is_agent=is_agent, is_sqlite=is_sqlite_session(session))
    values = {"blob_keys": encode_text_list(blob_keys), "limit": MAX_MATCHES}
    return _filter_by_labels(session, team, session.execute(statement, values).all())


@cache
def _build_versions_query(*, is_agent: bool, is_sqlite: bool) -> Select[Any]:
    """Build the query for the versions with one of many blobs; for a machine's key, only current ones."""
    keys = build_text_list("blob_keys")
    has_blob = (_versions.c.blob_id == cast(keys.c.value, Uuid())) & _versions.c.deleted_at.is_(None)
    limit = bindparam("limit", type_=Integer())
    source, versions = join_rows(keys, _versions, has_blob, _versions.c.number, limit, is_sqlite=is_sqlite)
    statement = _select_models(keys.c.value.label("blob_key"), versions.c.number, is_agent=is_agent)
    statement = statement.select_from(join_left_to_right(source, _models, _models.c.id == versions.c.model_id))
    if is_agent:
        statement = statement.where(versions.c.number == _models.c.current_version)
    return statement.order_by(_models.c.model_path, versions.c.number)


def _load_models_at(session: Session, team: TeamContext, path_keys: Collection[str]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the models at these paths that the caller may see, with the number of the version that each shows."""
    if not path_keys:
        return []
    shown = func.coalesce(_models.c.current_version, _models.c.pending_version).label("number")
    statement = _select_models(_models.c.path_key, shown, is_agent=team.caller.kind == "agent")
    statement = statement.where(_models.c.team_id == team.team_id, _models.c.path_key.in_(path_keys))
    return _filter_by_labels(session, team, session.execute(statement).all())


def _select_models(*columns: ColumnElement[Any], is_agent: bool) -> Select[Any]:
    """Build the query for models outside the trash; for a machine's key, those of its manifests, labels apart."""
    statement = select(_models.c.id, _models.c.model_path, _models.c.label_set, *columns)
    statement = statement.where(_models.c.deleted_at.is_(None))
    if not is_agent:
        return statement
    return statement.where(_models.c.model_status == "active", _models.c.verified_at.is_not(None))


def _filter_by_labels(
    session: Session, team: TeamContext, rows: Sequence[Row[*tuple[Any, ...]]]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return all rows, or for a machine's key those that need no labels or those that one of its machines has."""
    if team.caller.kind != "agent":
        return rows
    label_sets = list_label_sets_of_key(session, team)
    return [row for row in rows if not row.label_set or any(has_all_labels(row.label_set, has) for has in label_sets)]


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
