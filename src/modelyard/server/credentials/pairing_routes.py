"""HTTP routes of pairing."""

from typing import Annotated

from fastapi import Query

from modelyard.server.credentials import confirmation, pairing
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.params import ClientAddress
from modelyard.server.http.problems import answers
from modelyard.server.http.public_url import PublicUrl
from modelyard.server.identity.state import IdentityState
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.agents.values import EXAMPLE_AGENT, AgentId
from modelyard.wire.credentials import PairingConfirmation, PairingConfirmed, PairingPoll, PairingStarted, PairingState

router = ApiRouter("pairing")

# In the query, since clients of the source API may send any body.
IsForAgent = Annotated[
    bool,
    Query(
        description="Make only the key of a machine's agent, and no device key; `device_name` of the confirmation is "
        "then the machine's name.",
        examples=[True],
    ),
]
AnnouncedName = Annotated[
    AgentId | None,
    Query(
        description="The name that the machine will have if the confirmation gives no other. Without it, the "
        "confirmation does not say whether that name is in use; a machine that has it already omits it.",
        examples=[EXAMPLE_AGENT],
    ),
]


@router.post(
    "/desktop/pair/start",
    operation_id="start_pairing",
    responses=answers(problems.TooManyAttempts, problems.HostNotAllowed, problems.InvalidRequest),
)
def start_pairing(
    address: ClientAddress,
    public_url: PublicUrl,
    database: Db,
    is_for_agent: IsForAgent = False,
    agent_id: AnnouncedName = None,
) -> PairingStarted:
    """Start pairing a device, or the agent of a machine; a body is not read."""
    with database.writing() as session:
        return pairing.start_pairing(session, address, public_url, is_for_agent=is_for_agent, agent_id=agent_id)


@router.post(
    "/desktop/pair/poll",
    operation_id="poll_pairing",
    # A pending answer has no key fields instead of two nulls.
    response_model_exclude_none=True,
    responses=answers(problems.PairingNotFound, problems.InvalidRequest),
)
def poll_pairing(body: PairingPoll, database: Db) -> PairingState:
    """Get the state of a pairing, and the keys once after confirmation; with `repeat` again, for five minutes."""
    return pairing.poll_pairing(database, body)


@router.post(
    "/desktop/pair/confirm",
    operation_id="confirm_pairing",
    responses=answers(*ACCESS_PROBLEMS, problems.PairingNotFound, problems.InvalidRequest, problems.TooManyAttempts),
)
def confirm_pairing(
    body: PairingConfirmation,
    team: Annotated[TeamContext, require_permission(Operation.PAIR)],
    database: Db,
    identity: IdentityState,
    address: ClientAddress,
) -> PairingConfirmed:
    """Confirm a device by its code, so that it acts as the caller in this team."""
    return confirmation.confirm_pairing(database, identity, team, body, address)
