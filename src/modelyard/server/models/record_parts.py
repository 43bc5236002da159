"""The JSON of many records, and of a page of them, in parts: while one is built, no other thread can run."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from pydantic_core import to_json
from sqlalchemy.orm import Session

from modelyard.server.http.paging import Page
from modelyard.server.models.listing.cursors import build_cursor_position
from modelyard.server.models.listing.pages import list_models
from modelyard.server.models.listing.suggestions import suggest_search
from modelyard.server.models.records import build_models
from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.problems import InvalidRequest

# A record mostly has 2 to 3 KB of JSON, and 200 KB if all of its texts are as long as they may be.
RECORDS_AT_ONCE = 50
# No further part of records is built from then on.
MAX_RECORD_BYTES = 4 * 1024 * 1024

Item = TypeVar("Item")


def encode_records(
    session: Session, team: TeamContext, parts: Iterable[Sequence[ModelRow]], trash_days: int
) -> list[bytes]:
    """Return the records of each part as a JSON array, until they have ``MAX_RECORD_BYTES``.

    ``parts`` are iterated no further. Costs at most one statement for each part, and one for the team's machines.
    """
    machines = MachineCounts.load(session, team.team_id)
    encoded, size = list[bytes](), 0
    for part in parts:
        encoded.append(to_json(build_models(session, team, part, trash_days, machines)))
        size += len(encoded[-1])
        if size >= MAX_RECORD_BYTES:
            break
    return encoded


def split(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Return the items in parts of this size."""
    return (items[start : start + size] for start in range(0, len(items), size))


def join_arrays(arrays: Iterable[bytes]) -> bytes:
    """Return JSON arrays without spaces as one."""
    return b"[" + b",".join(array[1:-1] for array in arrays if array != b"[]") + b"]"


def encode_page(session: Session, team: TeamContext, model_filter: ModelFilter, page: Page, trash_days: int) -> bytes:
    """Return the JSON of a ``ModelList`` with the models that match the filter.

    No further ``RECORDS_AT_ONCE`` are shown after ``MAX_RECORD_BYTES``: a page after a cursor continues there.

    Raises:
        InvalidRequest: the cursor is malformed, or the records of a numbered page are longer.
    """
    listed = list_models(session, team, model_filter, page)
    parts = encode_records(session, team, split(listed.models, RECORDS_AT_ONCE), trash_days)
    shown, meta = len(parts) * RECORDS_AT_ONCE, listed.meta
    if shown < len(listed.models):
        if page.cursor is None:
            raise _build_page_too_long(shown)
        meta = page.cursor_meta(build_cursor_position(listed.models[shown - 1], model_filter.sort))
    others: dict[str, object] = {"page_meta": meta}
    is_first = page.current_page == 1 and not page.cursor
    if (model_filter.q or model_filter.model_type) and not listed.models and is_first:
        similar = suggest_search(session, team, model_filter)
        others |= {} if similar is None else {"did_you_mean": similar}
    return b'{"model_list":' + join_arrays(parts) + b"," + to_json(others)[1:]


def _build_page_too_long(shown: int) -> InvalidRequest:
    """Build the problem of a numbered page whose first ``shown`` records are as long as a page may be."""
    return InvalidRequest.for_field(
        "per_page",
        f"The records of this page are longer than {MAX_RECORD_BYTES // 1024 // 1024} MiB. Request at most {shown} "
        "a page, or send `cursor`, with which pages end early.",
    )
