"""The audit trail over HTTP."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

from modelyard.server.audit.operations import EventFilter
from modelyard.server.database.session import Db
from modelyard.server.paging import AskedPage
from modelyard.server.problems import answers
from modelyard.server.teams import operations
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.shapes import EXAMPLE_ID, EXAMPLE_TIME, NAME_PATTERN
from modelyard.wire.teams import AuditEventList

router = APIRouter(tags=["audit"])


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("This time is out of range") from None


def _dated(text: str) -> str:
    if len(text) < len("2026-11-24T12:00Z"):
        raise ValueError("A time is written like 2026-11-24T12:00:00Z, not as a number")
    return text


Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NAME_PATTERN)]
Moment = Annotated[AwareDatetime, BeforeValidator(_dated), AfterValidator(_in_utc)]


def _asked_events(
    action: Annotated[Word | None, Query(description="Only this action.", examples=["member.removed"])] = None,
    object_id: Annotated[Word | None, Query(description="Only about this object.", examples=[EXAMPLE_ID])] = None,
    actor_id: Annotated[Word | None, Query(description="Only by this user or key.", examples=[EXAMPLE_ID])] = None,
    since: Annotated[Moment | None, Query(description="Not before this time.", examples=[EXAMPLE_TIME])] = None,
    until: Annotated[Moment | None, Query(description="Before this time.", examples=[EXAMPLE_TIME])] = None,
) -> EventFilter:
    return EventFilter(action, object_id, actor_id, since, until)


@router.get("/audit-events", operation_id="list_audit_events", responses=answers(*REFUSALS, problems.InvalidRequest))
def list_audit_events(
    page: AskedPage,
    asked: Annotated[EventFilter, Depends(_asked_events)],
    acting: Annotated[Acting, may(Operation.AUDIT_READ)],
    database: Db,
) -> AuditEventList:
    """List who did what in the team, newest first."""
    with database.reading() as session:
        return operations.list_audit_events(session, acting, page, asked)
