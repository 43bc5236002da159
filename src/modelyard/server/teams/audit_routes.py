"""HTTP routes of the audit trail."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

from modelyard.server.audit.operations import EventFilter
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.problems import answers
from modelyard.server.teams import operations
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_TIME
from modelyard.wire.teams import AuditEventList
from modelyard.wire.texts.rules import LINE_PATTERN

router = ApiRouter("audit")


def _convert_to_utc(moment: datetime) -> datetime:
    """Return the time in UTC; raise ValueError for one that cannot be expressed in UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("This time is out of range") from None


def _check_iso_time(text: str) -> str:
    """Return the text; raise ValueError if it is shorter than a time: pydantic takes numbers for seconds since 1970."""
    if len(text) >= len("2026-11-24T12:00Z"):
        return text
    form = "A time is written like 2026-11-24T12:00:00Z"
    raise ValueError(f"{form}, not as a number" if text.isdecimal() else form)


FilterText = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=LINE_PATTERN)]
UtcTime = Annotated[AwareDatetime, BeforeValidator(_check_iso_time), AfterValidator(_convert_to_utc)]


async def _parse_event_filter(
    action: Annotated[FilterText | None, Query(description="Only this action.", examples=["member.removed"])] = None,
    object_id: Annotated[FilterText | None, Query(description="Only about this object.", examples=[EXAMPLE_ID])] = None,
    actor_id: Annotated[
        FilterText | None, Query(description="Only by this user or key.", examples=[EXAMPLE_ID])
    ] = None,
    since: Annotated[UtcTime | None, Query(description="Not before this time.", examples=[EXAMPLE_TIME])] = None,
    until: Annotated[UtcTime | None, Query(description="Before this time.", examples=[EXAMPLE_TIME])] = None,
) -> EventFilter:
    """Return the filter from the query parameters."""
    return EventFilter(action, object_id, actor_id, since, until)


@router.get(
    "/audit-events", operation_id="list_audit_events", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest)
)
def list_audit_events(
    page: PageParams,
    event_filter: Annotated[EventFilter, Depends(_parse_event_filter)],
    team: Annotated[TeamContext, require_permission(Operation.AUDIT_READ)],
    database: Db,
) -> AuditEventList:
    """List the audit events of the team, newest first."""
    with database.reading() as session:
        return operations.list_audit_events(session, team, page, event_filter)
