"""The JSON of a page of models."""

from pydantic_core import to_json
from sqlalchemy.orm import Session

from modelyard.server.database.session import split
from modelyard.server.http.paging import Page
from modelyard.server.models.listing.pages import list_models
from modelyard.server.models.listing.suggestions import suggest_search
from modelyard.server.models.responses.record_parts import (
    MAX_RECORD_BYTES,
    RECORDS_AT_ONCE,
    encode_records,
    join_arrays,
)
from modelyard.server.teams.context import TeamContext
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.problems import InvalidRequest


def encode_page(session: Session, team: TeamContext, model_filter: ModelFilter, page: Page, trash_days: int) -> bytes:
    """Return the JSON of a ``ModelList`` with the models that match the filter.

    It ends with the records that ``encode_records`` returns: a page after a cursor continues there.

    Raises:
        InvalidRequest: the cursor is malformed, or the records of a numbered page are longer.
    """
    listed = list_models(session, team, model_filter, page)
    shown = encode_records(session, team, split(listed.models, RECORDS_AT_ONCE), trash_days)
    meta = listed.meta
    if shown.record_count < len(listed.models):
        if page.cursor is None:
            raise _build_page_too_long(shown.record_count)
        meta = page.cursor_meta(listed.build_position(shown.record_count - 1))
    others: dict[str, object] = {"page_meta": meta}
    if (model_filter.q or model_filter.model_type) and not listed.models and page.is_first:
        similar = suggest_search(session, team, model_filter)
        others |= {} if similar is None else {"did_you_mean": similar}
    return b'{"model_list":' + join_arrays(shown.arrays) + b"," + to_json(others)[1:]


def _build_page_too_long(shown: int) -> InvalidRequest:
    """Build the problem of a numbered page whose first ``shown`` records are as long as a page may be."""
    return InvalidRequest.for_field(
        "per_page",
        f"The records of this page are longer than {MAX_RECORD_BYTES // 1024 // 1024} MiB. Request at most {shown} "
        "a page, from the first page on, or send `cursor`, with which pages end early.",
    )
