"""Pairing a device: it shows a code, a person types the code, the device gets its keys.

start    device  → device_code (its secret), user_code (on its screen)
confirm  person  → the pairing has a team and a user
poll     device  → pending … approved with dk- and ak-, once; then the pairing is gone
"""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor, record
from modelyard.server.credentials.tables import PairingRow
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.bearer import full_name
from modelyard.server.identity.operations import WantedKey, make_credential
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import UserRow
from modelyard.server.teams.acting import Acting, role_in
from modelyard.wire import problems
from modelyard.wire.credentials import PairingAnswer, PairingConfirmation, PairingPoll, PairingStarted

LIFE = timedelta(minutes=5)
# Nobody has signed in yet, so the number of open pairings is what must not grow.
OPEN_FROM_ONE_ADDRESS = 50
OPEN_IN_ALL = 1000
# 32 letters and digits that nobody mistakes for one another: 40 bits, for five minutes.
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8


def start(session: Session, address: str, public_url: str) -> PairingStarted:
    """A new pairing.

    Raises:
        TooManyAttempts: too many are open, here or in all.
    """
    session.execute(delete(PairingRow).where(PairingRow.expires_at <= now()))
    _check_room(session, address)
    token = keys.new_token(keys.PAIRING)
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    session.add(PairingRow(device_code_hash=token.digest, user_code=code, address=address, expires_at=now() + LIFE))
    return PairingStarted(
        device_code=token.raw,
        user_code=f"{code[:4]}-{code[4:]}",
        verification_uri=f"{public_url}/pair",
        expires_in=int(LIFE.total_seconds()),
    )


def _check_room(session: Session, address: str) -> None:
    in_all = session.scalar(select(func.count()).select_from(PairingRow)) or 0
    here = session.scalar(select(func.count()).where(PairingRow.address == address)) or 0
    if in_all >= OPEN_IN_ALL or here >= OPEN_FROM_ONE_ADDRESS:
        raise problems.TooManyAttempts(
            "Too many devices are waiting to be paired. Try again in a minute.", retry_after=60
        )


def confirm(database: Database, identity: Identity, acting: Acting, asked: PairingConfirmation, address: str) -> None:
    """Let the device with this code into the team, as the caller. The same caller may repeat it.

    Raises:
        PairingNotFound: the code is unknown, confirmed by somebody else, used or too old.
        TooManyAttempts: see ``Attempts``.
    """
    account = f"pairing by {acting.user_id}"
    identity.attempts.begin(account, address)
    code = asked.user_code.upper().replace("-", "").replace(" ", "")
    with database.writing(acting.team_id) as session:
        pairing = _by_user_code(session, code)
        if pairing is None or pairing.user_id not in (None, acting.user_id):
            raise pairing_not_found()
        if pairing.user_id is None:
            pairing.team_id = acting.team_id
            pairing.user_id = acting.user_id
            pairing.device_name = asked.device_name or f"Device {code[:4]}"
            record(
                session,
                acting.actor,
                acting.team_id,
                "device.confirmed",
                pairing.id,
                device_name=pairing.device_name,
                address=pairing.address,
            )
    identity.attempts.forgive(account, address)


def _by_user_code(session: Session, code: str) -> PairingRow | None:
    if len(code) != CODE_LENGTH or not set(code) <= set(ALPHABET):
        return None
    # People of different teams do not take turns, and may type the same code.
    return session.scalar(
        select(PairingRow).where(PairingRow.user_code == code, PairingRow.expires_at > now()).with_for_update()
    )


def poll(database: Database, asked: PairingPoll) -> PairingAnswer:
    """Whether a person has confirmed; the first answer after that carries both keys and ends the pairing.

    Raises:
        PairingNotFound: unknown, used or too old, or the person has left the team meanwhile.
    """
    with database.reading() as session:
        confirmed = _by_device_code(session, asked.device_code)
    if confirmed.team_id is None:
        return PairingAnswer(status="pending")
    with database.writing(confirmed.team_id) as session:
        pairing = _by_device_code(session, asked.device_code)
        answer = _keys_for(session, pairing)
        session.delete(pairing)
    if answer is None:
        raise pairing_not_found()
    return answer


def _by_device_code(session: Session, device_code: str) -> PairingRow:
    if keys.is_well_formed(device_code, keys.PAIRING):
        found = session.scalar(
            select(PairingRow).where(
                PairingRow.device_code_hash == keys.digest(device_code), PairingRow.expires_at > now()
            )
        )
        if found is not None:
            return found
    raise pairing_not_found()


def pairing_not_found() -> problems.PairingNotFound:
    return problems.PairingNotFound("This code is unknown, used or too old. Start again on the device.")


def _keys_for(session: Session, pairing: PairingRow) -> PairingAnswer | None:
    """Both keys, made now: they exist only from the moment in which somebody receives them."""
    user = session.get(UserRow, pairing.user_id)
    if user is None or pairing.team_id is None or role_in(session, pairing.team_id, user.id) is None:
        return None
    device_key, agent_key, device_id = _make_pair(session, pairing.team_id, user.id, pairing.device_name or "Device")
    actor = Actor("user", user.id, full_name(user.first_name, user.last_name))
    record(session, actor, pairing.team_id, "device.paired", device_id, device_name=pairing.device_name)
    return PairingAnswer(status="approved", raw_key=device_key, agent_key=agent_key)


def _make_pair(session: Session, team_id: UUID, user_id: UUID, name: str) -> tuple[str, str, UUID]:
    device, device_key = make_credential(session, team_id, user_id, WantedKey("device", name, "write"))
    # The agent's row points to the device's.
    session.flush()
    agent, agent_key = make_credential(session, team_id, user_id, WantedKey("agent", name, "read"))
    agent.paired_with = device.id
    return device_key, agent_key, device.id
