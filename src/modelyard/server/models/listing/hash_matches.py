"""Models by a hash of their content: those that the hashes of a filter mean."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from modelyard.server.database.first_rows import RowLimits
from modelyard.server.database.search import prevent_index_use
from modelyard.server.models.search_text import fold_value
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.uploads.hashes import BlobMatch, find_blobs_by_hash
from modelyard.wire.model_filter import ModelFilter

# Only so many blobs and models with one hash count: any number of files can be made with the same CRC-32.
BLOB_LIMITS, MAX_MODELS = RowLimits(of_one=1_000, in_all=1_000), 5_000


@dataclass(frozen=True)
class HashMatches:
    """The ids of models that a filter means: by ``file_hash``, None if it is not set, and by values of ``q``, folded.

    Values that are the hash of no model are left out: nearly all searches have none.
    """

    of_filter: Collection[UUID] | None
    of_words: Mapping[str, Collection[UUID]]


def find_hash_matches(session: Session, team_id: UUID, model_filter: ModelFilter) -> HashMatches:
    """Find the team's models with a version whose hash is ``file_hash``, or a word or a value of ``hash:`` in ``q``.

    Sends no query if none can be a hash. Models in the trash are found too.
    """
    words = {
        fold_value(value) for term in model_filter.search_terms if term.key in ("", "hash") for value in term.values
    }
    of_filter = [] if model_filter.file_hash is None else [model_filter.file_hash]
    blobs = find_blobs_by_hash(session, team_id, [*of_filter, *words], BLOB_LIMITS, verified_only=False).by_text
    models = {word: _find_models(session, blobs[word]) for word in words & blobs.keys()}
    return HashMatches(
        None if model_filter.file_hash is None else _find_models(session, blobs.get(model_filter.file_hash, ())),
        {word: ids for word, ids in models.items() if ids},
    )


def _find_models(session: Session, blobs: Sequence[BlobMatch]) -> Collection[UUID]:
    """Return the ids of the newest models that have a version with one of the blobs."""
    blob_ids = {UUID(match.blob_key) for match in blobs}
    if not blob_ids:
        return []
    versions = select(ModelVersionRow.model_id).where(ModelVersionRow.blob_id.in_(blob_ids))
    versions = versions.where(ModelVersionRow.deleted_at.is_(None)).distinct()
    return session.scalars(versions.order_by(ModelVersionRow.model_id.desc()).limit(MAX_MODELS)).all()


def build_id_condition(ids: Collection[UUID], *, may_use_indexes: bool) -> ColumnElement[bool]:
    """Build the condition that a model has one of these ids; see ``build_filter_conditions``."""
    column = ModelRow.id.expression
    return (column if may_use_indexes else prevent_index_use(column)).in_(ids)
