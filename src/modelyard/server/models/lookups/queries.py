"""The statements of lookups: versions of many contents, and models at many paths or with many ids.

Their rows are not parsed and validated one by one. Each has ``id``, the text of the model's id, ``model_path``, and
``number``, that of a version.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import cache, partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    select,
)
from sqlalchemy.orm import Session

from modelyard.server.database.first_rows import FirstRows, RowLimits, load_first_rows
from modelyard.server.database.search import is_sqlite_session, join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.database.text_list import build_text_list, encode_text_list, join_first_rows, join_rows
from modelyard.server.models.replicas.key_access import find_models_of_key
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext

FoundRow = Row[*tuple[Any, ...]]
_models, _versions = get_table(ModelRow), get_table(ModelVersionRow)


def load_versions(
    session: Session, blob_keys: Iterable[str], limits: RowLimits, *, for_machine: bool
) -> FirstRows[FoundRow]:
    """Return the versions with each blob, those of the newest models first, also of models in the trash.

    ``is_visible`` of their rows is false for models in the trash; with ``for_machine`` it is true only for current
    versions of models that a machine could have to hold.
    """
    build = partial(_build_versions_query, for_machine=for_machine, is_sqlite=is_sqlite_session(session))

    def load(keys: Collection[str], limit: int, *, of_each: bool) -> Mapping[str, Sequence[FoundRow]]:
        """Load the versions with these blobs."""
        statement, values = build(of_each=of_each), {"blob_keys": encode_text_list(keys), "limit": limit}
        groups: dict[str, list[FoundRow]] = {}
        for row in session.connection().execute(statement, values).all():
            groups.setdefault(row.blob_key, []).append(row)
        return {
            key: sorted(rows, key=_get_age, reverse=True) if len(rows) > 1 else rows for key, rows in groups.items()
        }

    return load_first_rows(blob_keys, load, limits)


def _get_age(row: FoundRow) -> tuple[str, int]:
    """Return the key by which versions are sorted from the oldest model to the newest: ids are made in this order."""
    return row.id, row.number


def load_models_at(session: Session, team: TeamContext, path_keys: Collection[str]) -> Sequence[FoundRow]:
    """Return the models at these paths that the caller may see, with the number of the version that each shows."""
    if not path_keys:
        return []
    for_machine = team.caller.kind == "agent"
    statement = _build_paths_query(for_machine=for_machine, is_sqlite=is_sqlite_session(session))
    values = {"team": team.team_id, "path_keys": encode_text_list(path_keys)}
    rows = session.connection().execute(statement, values).all()
    hidden = find_hidden(session, team, rows) if for_machine else frozenset[str]()
    return [row for row in rows if row.id not in hidden]


def load_models(session: Session, team: TeamContext, ids: Collection[UUID]) -> Sequence[FoundRow]:
    """Return those of the models that the caller may see, with the number of the version that each shows."""
    if not ids:
        return []
    for_machine = team.caller.kind == "agent"
    statement = _build_ids_query(for_machine=for_machine, is_sqlite=is_sqlite_session(session))
    # As each database stores them, so that the index of ids is used.
    values = {"team": team.team_id, "ids": encode_text_list(model_id.hex for model_id in ids)}
    rows = session.connection().execute(statement, values).all()
    hidden = find_hidden(session, team, rows) if for_machine else frozenset[str]()
    return [row for row in rows if row.id not in hidden]


@cache
def _build_versions_query(*, for_machine: bool, is_sqlite: bool, of_each: bool) -> Select[Any]:
    """Build the query for the versions with each blob, newest models first, and whether each is visible.

    Its parameter ``limit`` is the number of versions of each blob or of all.
    """
    keys, limit = build_text_list("blob_keys"), bindparam("limit", type_=Integer())
    has_blob = (_versions.c.blob_id == cast(keys.c.value, Uuid())) & _versions.c.deleted_at.is_(None)
    # The order of the index, from its end.
    order = [_versions.c.deleted_at.desc(), _versions.c.model_id.desc(), _versions.c.number.desc()]
    join = join_first_rows if of_each else join_rows
    source, versions = join(keys, _versions, has_blob, limit, order, is_sqlite=is_sqlite)
    is_visible = _is_visible(_models, for_machine=for_machine)
    if for_machine:
        is_visible &= versions.c.number == _models.c.current_version
    named = versions.c.number, is_visible.label("is_visible"), keys.c.value.label("blob_key")
    statement = _select_models(_models, *named, for_machine=for_machine)
    statement = statement.select_from(join_left_to_right(source, _models, _models.c.id == versions.c.model_id))
    return statement if of_each else statement.limit(limit)


@cache
def _build_paths_query(*, for_machine: bool, is_sqlite: bool) -> Select[Any]:
    """Build the query for the models of a team at many paths."""
    keys = build_text_list("path_keys")
    is_at_path = (_models.c.team_id == bindparam("team", type_=Uuid())) & (_models.c.path_key == keys.c.value)
    is_at_path &= _models.c.deleted_at.is_(None)
    # No two models outside the trash have the same path.
    one = bindparam("limit", 1, type_=Integer())
    source, models = join_rows(keys, _models, is_at_path, one, is_sqlite=is_sqlite)
    return _select_shown(models, for_machine=for_machine).select_from(source)


@cache
def _build_ids_query(*, for_machine: bool, is_sqlite: bool) -> Select[Any]:
    """Build the query for the models of a team with many ids; without the list, SQLite would read the whole team."""
    ids = build_text_list("ids")
    has_id = (_models.c.id == cast(ids.c.value, Uuid())) & (_models.c.team_id == bindparam("team", type_=Uuid()))
    one = bindparam("limit", 1, type_=Integer())
    source, models = join_rows(ids, _models, has_id, one, is_sqlite=is_sqlite)
    return _select_shown(models, for_machine=for_machine).select_from(source)


def _select_shown(models: FromClause, *, for_machine: bool) -> Select[Any]:
    """Build the query for visible models, the version that each shows, its hash if verified, and the path's key."""
    number = func.coalesce(models.c.current_version, models.c.pending_version).label("number")
    file_hash = case((models.c.verified_at.is_not(None), models.c.file_hash)).label("file_hash")
    statement = _select_models(models, number, file_hash, models.c.path_key, for_machine=for_machine)
    return statement.where(_is_visible(models, for_machine=for_machine))


def _select_models(models: FromClause, *columns: ColumnElement[Any], for_machine: bool) -> Select[Any]:
    """Build the query for models with these columns, and with ``for_machine`` the labels that they require."""
    labels = [models.c.label_set] if for_machine else []
    return select(cast(models.c.id, String()).label("id"), models.c.model_path, *columns, *labels)


def _is_visible(models: FromClause, *, for_machine: bool) -> ColumnElement[bool]:
    """Return whether a model is outside the trash, and with ``for_machine`` one that a machine could have to hold."""
    is_kept = models.c.deleted_at.is_(None)
    if not for_machine:
        return is_kept
    return is_kept & (models.c.model_status == "active") & models.c.verified_at.is_not(None)


def find_hidden(session: Session, team: TeamContext, rows: Iterable[FoundRow]) -> Set[str]:
    """Return the ids of those models with required labels that no machine of the caller's key should hold.

    The rows are those of queries for a machine's key.
    """
    label_sets = {row.id: row.label_set for row in rows if row.label_set}
    if not label_sets:
        return frozenset()
    ids = {text: UUID(text) for text in label_sets}
    held = find_models_of_key(session, team, {ids[text]: labels for text, labels in label_sets.items()})
    return {text for text, model_id in ids.items() if model_id not in held}
