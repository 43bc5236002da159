"""The JSON of a lookup's result, built in parts: while one is built, no other thread of the process can run."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.orm import Session

from modelyard.server.models.lookups.by_id import load_models_by_id
from modelyard.server.models.lookups.operations import Matches
from modelyard.server.models.records import build_models
from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.teams.context import TeamContext
from modelyard.wire.hashes.lookups import MAX_RECORDS

# A record mostly has 2 to 3 KB of JSON, and 200 KB if all of its texts are as long as they may be.
RECORDS_AT_ONCE, MATCHES_AT_ONCE = 50, 500
# No further part of records is read from then on.
MAX_RECORD_BYTES = 4 * 1024 * 1024


class RecordsJson(NamedTuple):
    """Records in parts, each a JSON array; ``has_more``: the limits leave some out."""

    parts: Sequence[bytes]
    has_more: bool


def build_records(session: Session, team: TeamContext, found: Matches, trash_days: int) -> RecordsJson:
    """Return the records of the first ``MAX_RECORDS`` models in ``found``, each once, in the same order.

    No further ``RECORDS_AT_ONCE`` are read after ``MAX_RECORD_BYTES``. Costs one or two statements for each part, and
    one for the team's machines.
    """
    ids = [UUID(text) for text in dict.fromkeys(match["id"] for match in found["match_list"])]
    machines = MachineCounts.load(session, team.team_id)
    parts: list[bytes] = []
    for part in _split(ids[:MAX_RECORDS], RECORDS_AT_ONCE):
        if sum(map(len, parts)) >= MAX_RECORD_BYTES:
            return RecordsJson(parts, has_more=True)
        models = load_models_by_id(session, team.team_id, part)
        records = [models[model_id] for model_id in part if model_id in models]
        parts.append(to_json(build_models(session, team, records, trash_days, machines)))
    return RecordsJson(parts, has_more=len(ids) > MAX_RECORDS)


def encode_result(found: Matches, records: RecordsJson | None) -> bytes:
    """Return the JSON of a ``LookupResult``."""
    matches = _join_arrays(to_json(part) for part in _split(found["match_list"], MATCHES_AT_ONCE))
    models = b"null" if records is None else _join_arrays(records.parts)
    others = {
        "capped_list": found["capped_list"],
        "has_more_records": records is not None and records.has_more,
    }
    return b'{"match_list":' + matches + b',"model_list":' + models + b"," + to_json(others)[1:]


def _split(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    """Return the items in parts of this size."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _join_arrays(arrays: Iterable[bytes]) -> bytes:
    """Return JSON arrays without spaces as one."""
    return b"[" + b",".join(array[1:-1] for array in arrays if array != b"[]") + b"]"
