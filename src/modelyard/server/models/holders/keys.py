"""What a machine's key may fetch."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.tables import AgentRow
from modelyard.server.models.holders.wanting import may_be_held
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.acting import Acting


def may_fetch(session: Session, acting: Acting, model: ModelRow) -> bool:
    """Whether the manifest of any machine that this key speaks for names the model, damaged or not."""
    if not may_be_held(model):
        return False
    if not model.label_set:
        return True
    machines = select(AgentRow.label_set).where(
        AgentRow.team_id == acting.team_id, AgentRow.credential_id == acting.caller.credential_id
    )
    return any(fits(model.label_set, has) for has in session.scalars(machines))
