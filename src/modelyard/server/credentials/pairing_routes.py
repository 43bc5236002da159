"""Pairing over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from modelyard.server.credentials import pairing
from modelyard.server.database.session import Db
from modelyard.server.identity.asked import CallersAddress
from modelyard.server.identity.state import IdentityState
from modelyard.server.inbound import PublicUrl
from modelyard.server.problems import answers
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.credentials import PairingAnswer, PairingConfirmation, PairingPoll, PairingStarted
from modelyard.wire.shapes import Done

router = APIRouter(tags=["pairing"])


@router.post(
    "/desktop/pair/start",
    operation_id="start_pairing",
    responses=answers(problems.TooManyAttempts, problems.HostNotAllowed),
)
def start_pairing(address: CallersAddress, public_url: PublicUrl, database: Db) -> PairingStarted:
    """Start pairing a device."""
    with database.writing() as session:
        return pairing.start(session, address, public_url)


@router.post(
    "/desktop/pair/poll",
    operation_id="poll_pairing",
    # Pending has no keys, rather than two nulls.
    response_model_exclude_none=True,
    responses=answers(problems.PairingNotFound, problems.InvalidRequest),
)
def poll_pairing(asked: PairingPoll, database: Db) -> PairingAnswer:
    """Ask whether a person has confirmed the device; the keys come once."""
    return pairing.poll(database, asked)


@router.post(
    "/desktop/pair/confirm",
    operation_id="confirm_pairing",
    responses=answers(*REFUSALS, problems.PairingNotFound, problems.InvalidRequest, problems.TooManyAttempts),
)
def confirm_pairing(
    asked: PairingConfirmation,
    acting: Annotated[Acting, may(Operation.PAIR)],
    database: Db,
    identity: IdentityState,
    address: CallersAddress,
) -> Done:
    """Let the device with this code in, to act as oneself in this team."""
    pairing.confirm(database, identity, acting, asked, address)
    return Done()
