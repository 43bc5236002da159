"""The JSON of many records, in parts: while one is built, no other thread of the process can run."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic_core import to_json
from sqlalchemy.orm import Session

from modelyard.server.database.session import split
from modelyard.server.models.records import build_models
from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext

# Records are read in parts of this size, each with one or two statements.
RECORDS_AT_ONCE = 50
# Fewer are encoded at once: one mostly has 2 to 3 KB of JSON, and 200 KB if all its texts are as long as they may be.
RECORDS_PER_ARRAY = 10
# No further array is encoded from then on.
MAX_RECORD_BYTES = 4 * 1024 * 1024


class RecordsJson(NamedTuple):
    """JSON arrays with ``record_count`` records in all; ``has_more``: the limit may leave some out."""

    arrays: Sequence[bytes]
    record_count: int
    has_more: bool


def encode_records(
    session: Session, team: TeamContext, parts: Iterable[Sequence[ModelRow]], trash_days: int
) -> RecordsJson:
    """Return the records in arrays of ``RECORDS_PER_ARRAY``, until these have ``MAX_RECORD_BYTES``.

    ``parts`` are iterated no further. Costs at most one statement for each part, and one for the team's machines.
    """
    machines = MachineCounts.load(session, team.team_id)
    arrays, count, size = list[bytes](), 0, 0
    for part in parts:
        for records in split(build_models(session, team, part, trash_days, machines), RECORDS_PER_ARRAY):
            arrays.append(to_json(records))
            count, size = count + len(records), size + len(arrays[-1])
            if size >= MAX_RECORD_BYTES:
                return RecordsJson(arrays, count, has_more=True)
    return RecordsJson(arrays, count, has_more=False)


def join_arrays(arrays: Iterable[bytes]) -> bytes:
    """Return JSON arrays without spaces as one."""
    return b"[" + b",".join(array[1:-1] for array in arrays if array != b"[]") + b"]"
