"""Bodies of webhook requests. Pure."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from modelyard.server.audit.tables import AuditEventRow
from modelyard.wire.webhooks import TEST_EVENT

MAX_BODY_BYTES = 20_000


def build_event_body(event: AuditEventRow) -> str:
    """Return the body for an audit event, whose ``data`` has the fields of ``GET /audit-events`` and the team's id.

    Facts that would make it longer than ``MAX_BODY_BYTES`` are left out, and ``facts`` is null then.
    """
    data: dict[str, Any] = {
        "id": str(event.id),
        "team_id": str(event.team_id),
        "object_id": event.object_id,
        "actor_kind": event.actor_kind,
        "actor_id": event.actor_id,
        "actor_name": event.actor_name,
        "facts": event.facts,
    }
    body = _build_body(event.action, event.created_at, data)
    if len(body.encode()) < MAX_BODY_BYTES:
        return body
    return _build_body(event.action, event.created_at, data | {"facts": None})


def build_test_body(webhook_id: UUID, team_id: UUID, moment: datetime) -> str:
    """Return the body of a test, which has no event."""
    return _build_body(TEST_EVENT, moment, {"webhook_id": str(webhook_id), "team_id": str(team_id)})


def _build_body(event_type: str, moment: datetime, data: dict[str, Any]) -> str:
    """Return the JSON of a body; ASCII, so that its bytes are the same in every reader."""
    document = {"type": event_type, "timestamp": moment.isoformat().replace("+00:00", "Z"), "data": data}
    return json.dumps(document, separators=(",", ":"))
