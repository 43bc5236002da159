"""The statements of lookups: versions of many contents, and models at many paths or with many ids.

Their rows are not parsed and validated one by one. Each has ``id``, the text of the model's id, ``model_path``, and
``number``, that of a version.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
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
# The label sets of the machines of the caller's key, see ``load_label_sets_of_key``; None if it is no machine's.
MachineLabels = Collection[str] | None
_models, _versions = get_table(ModelRow), get_table(ModelVersionRow)


def load_versions(
    session: Session, blob_keys: Iterable[str], limits: RowLimits, *, for_machine: bool
) -> FirstRows[FoundRow]:
    """Return the versions with each blob that are outside the trash, those of the newest models first.

    With ``for_machine``, their rows have ``is_visible``: whether it is the current version of a model that a machine
    could have to hold.
    """
    build = partial(_build_versions_query, for_machine=for_machine, is_sqlite=is_sqlite_session(session))

    def load(keys: Collection[str], limit: int, *, of_each: bool) -> Mapping[str, Sequence[FoundRow]]:
        """Load the versions with these blobs."""
        statement, values = build(of_each=of_each), {"blob_keys": encode_text_list(keys), "limit": limit}
        groups: dict[str, list[FoundRow]] = {}
        for row in session.connection().execute(statement, values).all():
            groups.setdefault(row.blob_key, []).append(row)
        return {
            key: sorted(rows, key=_get_creation_order, reverse=True) if len(rows) > 1 else rows
            for key, rows in groups.items()
        }

    return load_first_rows(blob_keys, load, limits)


def _get_creation_order(row: FoundRow) -> tuple[str, int]:
    """Return the key that sorts versions from the oldest model to the newest: ids are made in this order."""
    return row.id, row.number


def find_shown_versions_at(
    session: Session, team: TeamContext, path_keys: Collection[str], machines: MachineLabels
) -> Sequence[FoundRow]:
    """Return the models at these paths that the caller may see, with the number of the version that each shows."""
    build, values = _build_paths_query, {"path_keys": encode_text_list(path_keys)}
    return _find_shown_versions(session, team, build, values, machines) if path_keys else []


def find_shown_versions_by_id(
    session: Session, team: TeamContext, ids: Collection[UUID], machines: MachineLabels
) -> Sequence[FoundRow]:
    """Return those of the models that the caller may see, with the number of the version that each shows."""
    # As each database stores them, so that the index of ids is used.
    build, values = _build_ids_query, {"ids": encode_text_list(model_id.hex for model_id in ids)}
    return _find_shown_versions(session, team, build, values, machines) if ids else []


def _find_shown_versions(
    session: Session,
    team: TeamContext,
    build: Callable[..., Select[Any]],
    values: Mapping[str, str],
    machines: MachineLabels,
) -> Sequence[FoundRow]:
    """Return those models of a query that the caller may see."""
    statement = build(for_machine=machines is not None, is_sqlite=is_sqlite_session(session))
    rows = session.connection().execute(statement, {"team": team.team_id, **values}).all()
    hidden = find_hidden_models(session, team, rows, machines)
    return [row for row in rows if row.id not in hidden]


@cache
def _build_versions_query(*, for_machine: bool, is_sqlite: bool, of_each: bool) -> Select[Any]:
    """Build the query for the versions with each blob, newest models first, and whether each is visible.

    Its parameter ``limit`` is the number of versions of each blob or of all.
    """
    keys, limit = build_text_list("blob_keys"), bindparam("limit", type_=Integer())
    has_blob = _versions.c.blob_id == cast(keys.c.value, Uuid())
    has_blob &= _versions.c.deleted_at.is_(None) & _versions.c.is_model_deleted.is_(False)
    # The order of the index, from its end.
    columns = _versions.c.deleted_at, _versions.c.is_model_deleted, _versions.c.model_id, _versions.c.number
    join = join_first_rows if of_each else join_rows
    source, versions = join(keys, _versions, has_blob, limit, [each.desc() for each in columns], is_sqlite=is_sqlite)
    named = [versions.c.number, keys.c.value.label("blob_key")]
    if for_machine:
        is_current = versions.c.number == _models.c.current_version
        named.append((is_current & _is_for_machines(_models)).label("is_visible"))
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
    """Build the query for the models of a team with many ids; a join, for the reason of ``load_models_by_id``."""
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
    statement = statement.where(models.c.deleted_at.is_(None))
    return statement.where(_is_for_machines(models)) if for_machine else statement


def _select_models(models: FromClause, *columns: ColumnElement[Any], for_machine: bool) -> Select[Any]:
    """Build the query for models with these columns, and with ``for_machine`` the labels that they require."""
    labels = [models.c.label_set] if for_machine else []
    return select(cast(models.c.id, String()).label("id"), models.c.model_path, *columns, *labels)


def _is_for_machines(models: FromClause) -> ColumnElement[bool]:
    """Build the condition that machines may have to hold a model outside the trash."""
    return (models.c.model_status == "active") & models.c.verified_at.is_not(None)


def find_hidden_models(
    session: Session, team: TeamContext, rows: Iterable[FoundRow], machines: MachineLabels
) -> Set[str]:
    """Return the ids of those models with required labels that no machine of the caller's key should hold."""
    label_sets = {row.id: row.label_set for row in rows if row.label_set} if machines is not None else {}
    if not label_sets:
        return frozenset()
    ids = {text: UUID(text) for text in label_sets}
    held = find_models_of_key(session, team, {ids[text]: labels for text, labels in label_sets.items()}, machines)
    return {text for text, model_id in ids.items() if model_id not in held}
