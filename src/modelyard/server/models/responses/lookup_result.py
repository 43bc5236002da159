"""The JSON of a lookup's result, built in parts."""

from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.orm import Session

from modelyard.server.database.session import split
from modelyard.server.models.lookups.by_id import load_models_by_id
from modelyard.server.models.lookups.operations import Matches
from modelyard.server.models.responses.record_parts import RECORDS_AT_ONCE, RecordsJson, encode_records, join_arrays
from modelyard.server.teams.context import TeamContext
from modelyard.wire.hashes.lookups import MAX_RECORDS

MATCHES_AT_ONCE = 500


def build_records(session: Session, team: TeamContext, found: Matches, trash_days: int) -> RecordsJson:
    """Return the records of the first ``MAX_RECORDS`` models in ``found``, each once, in the same order.

    No further part is read after ``MAX_RECORD_BYTES``, see ``encode_records``. Costs one or two statements for each
    part, and one for the team's machines.
    """
    ids = [UUID(text) for text in dict.fromkeys(match["id"] for match in found["match_list"])]
    parts = list(split(ids[:MAX_RECORDS], RECORDS_AT_ONCE))
    loaded = (load_models_by_id(session, team.team_id, part) for part in parts)
    rows = (
        [models[model_id] for model_id in part if model_id in models]
        for part, models in zip(parts, loaded, strict=True)
    )
    records = encode_records(session, team, rows, trash_days)
    return records._replace(has_more=len(ids) > MAX_RECORDS or (records.has_more and records.record_count < len(ids)))


def encode_result(found: Matches, records: RecordsJson | None) -> bytes:
    """Return the JSON of a ``LookupResult``."""
    matches = join_arrays(to_json(part) for part in split(found["match_list"], MATCHES_AT_ONCE))
    models = b"null" if records is None else join_arrays(records.arrays)
    others = {
        "capped_list": found["capped_list"],
        "has_more_records": records is not None and records.has_more,
    }
    return b'{"match_list":' + matches + b',"model_list":' + models + b"," + to_json(others)[1:]
