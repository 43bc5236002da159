"""API schemas of what machines report of the use of models."""

import re
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field

from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_TIME, Schema

# The maximum number of uses in one heartbeat.
MAX_HEARTBEAT_USES = 500
# A machine counts the use of models as long as it reads each ComfyUI's history, and reports, at least so often.
MAX_USE_GAP = timedelta(days=3)
# The time zone and the whole of the form are checked afterwards.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _check_is_written_time(value: object) -> object:
    """Return a time, or a text that begins like one; raise ValueError for a number, which has no known unit."""
    if isinstance(value, datetime) or (isinstance(value, str) and _TIME.match(value)):
        return value
    raise ValueError("A time is a text such as 2026-11-27T12:00:00Z")


ReportedTime = Annotated[AwareDatetime, BeforeValidator(_check_is_written_time)]


class ModelUse(Schema):
    """The last time at which a prompt of a machine's ComfyUI used a model."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    last_used_at: ReportedTime = Field(description="When the prompt ran.", examples=[EXAMPLE_TIME])
