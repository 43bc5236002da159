"""Confirmation of a pairing: a user enters the code, and may give a name."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record
from modelyard.server.credentials.machine_names import has_machine, is_name_of_another_person
from modelyard.server.credentials.pairing import ALPHABET, CODE_LENGTH, build_wrong_code_problem
from modelyard.server.credentials.tables import PairingRow
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity.operations import INVENTED_NAME
from modelyard.server.identity.state import Identity
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.agents.values import AGENT_ID_PATTERN
from modelyard.wire.credentials import PairingConfirmation, PairingConfirmed


def confirm_pairing(
    database: Database, identity: Identity, team: TeamContext, confirmation: PairingConfirmation, address: str
) -> PairingConfirmed:
    """Confirm the pairing with this code, so that the device acts as the caller in the team.

    Idempotent for the caller and the team; another name replaces the first one until the keys were fetched.

    Raises:
        PairingNotFound: the code is unknown or expired, or was confirmed by another user or for another team.
        InvalidRequest: see ``_check_name``.
        TooManyAttempts: the caller or the address entered too many wrong codes.
    """
    account = f"pairing by {team.user_id}"
    with identity.attempts.limit(database, account, address, problems.PairingNotFound):
        return _confirm_code(database, team, confirmation)


def _confirm_code(database: Database, team: TeamContext, confirmation: PairingConfirmation) -> PairingConfirmed:
    """Set the team, user and name of the pairing with this code, and record that; return the answer.

    Codes may contain lower case, dashes and spaces.

    Raises:
        PairingNotFound, InvalidRequest: see ``confirm_pairing``.
    """
    code = confirmation.user_code.upper().replace("-", "").replace(" ", "")
    with database.writing(team.team_id) as session:
        pairing = _find_by_user_code(session, code)
        owners = (None, None), (team.team_id, team.user_id)
        if pairing is None or (pairing.team_id, pairing.user_id) not in owners:
            raise build_wrong_code_problem()
        name = confirmation.device_name or pairing.device_name or INVENTED_NAME.format(half_code=code[:4])
        if name == pairing.device_name:
            return _build_answer(session, team, pairing)
        if confirmation.device_name is not None:
            _check_name(session, team, pairing, confirmation.device_name)
        pairing.team_id, pairing.user_id, pairing.device_name = team.team_id, team.user_id, name
        facts = {"device_name": name, "address": pairing.address}
        record(session, team.actor, team.team_id, "device.confirmed", pairing.id, **facts)
        return _build_answer(session, team, pairing)


def _build_answer(session: Session, team: TeamContext, pairing: PairingRow) -> PairingConfirmed:
    """Build the answer to a confirmation, with the name that a new machine will have, and whether it is in use."""
    is_given = pairing.device_name != INVENTED_NAME.format(half_code=pairing.user_code[:4])
    name = (pairing.device_name if is_given else pairing.agent_id) if pairing.is_for_agent else None
    is_in_use = name is not None and has_machine(session, team.team_id, name)
    return PairingConfirmed(address=pairing.address, agent_id=name, is_name_in_use=is_in_use)


def _find_by_user_code(session: Session, code: str) -> PairingRow | None:
    """Return the pairing with this code that has not expired, locked for this transaction; None if there is none.

    The code is in upper case, without separators.
    """
    if len(code) != CODE_LENGTH or not set(code) <= set(ALPHABET):
        return None
    # Locked: writes of different teams run in parallel, and two users may enter the same code.
    return session.scalar(
        select(PairingRow).where(PairingRow.user_code == code, PairingRow.expires_at > now()).with_for_update()
    )


def _check_name(session: Session, team: TeamContext, pairing: PairingRow, name: str) -> None:
    """Check that a pairing can get this name, which is the machine's if the pairing is for an agent.

    Raises:
        InvalidRequest: the keys were fetched under another name; or the pairing is for an agent, and the name has
            characters that names of machines cannot have, or belongs to another person's machine.
    """
    refusal = None
    if pairing.key_seed is not None:
        refusal = f"It was paired as '{pairing.device_name}' already. Pair it again to give it another name"
    elif pairing.is_for_agent and not re.fullmatch(AGENT_ID_PATTERN, name):
        refusal = "The name of a machine has 1 to 64 letters, digits, dots, hyphens and underscores"
    elif pairing.is_for_agent and is_name_of_another_person(session, team, name):
        refusal = (
            f"The machine '{name}' was set up with a key of another person, so only they or an admin can set it up "
            f"again. Choose another name, or ask an admin to remove that machine (modelyard machine rm {name})"
        )
    if refusal is not None:
        raise problems.InvalidRequest.for_field("device_name", refusal)
