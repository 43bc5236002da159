"""Pairing of a device or machine: it shows a code, a user enters the code, and it receives its keys.

start    device  → device_code (its secret), user_code (on its screen)
confirm  user    → the pairing gets a team, a user and a name, see ``confirmation``
poll     device  → pending … approved with a dk- and an ak- key, once; with repeat the same two for five minutes

A pairing that an agent starts gets an ak- key only.
"""

import math
import secrets
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor, record
from modelyard.server.credentials.tables import PairingRow
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.authentication import format_full_name
from modelyard.server.identity.operations import KeyRequest, issue_key
from modelyard.server.identity.tables import CredentialRow, UserRow
from modelyard.server.teams.context import find_role
from modelyard.wire import problems
from modelyard.wire.credentials import (
    PREFIXES,
    Access,
    PairingPoll,
    PairingStarted,
    PairingState,
)

PairedKind = Literal["device", "agent"]

# Of an open pairing, and then of its keys' repetition.
PAIRING_LIFETIME = timedelta(minutes=5)
# Starting needs no sign-in, so the number of open pairings is limited. It takes 200 addresses to reach the second.
MAX_OPEN_PER_ADDRESS = 50
MAX_OPEN = 10_000
# 32 letters and digits that are not easily confused: 40 bits for five minutes.
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8
_ACCESS: dict[PairedKind, Access] = {"device": "write", "agent": "read"}


def start_pairing(
    session: Session, address: str, public_url: str, *, is_for_agent: bool, agent_id: str | None
) -> PairingStarted:
    """Start a pairing. If the address has 50 open ones, its oldest unconfirmed one is deleted.

    Expired pairings of all addresses are deleted first.

    Raises:
        TooManyAttempts: there are 10,000 open pairings in all, or 50 of this address that are confirmed but whose keys
            were not fetched.
    """
    session.execute(delete(PairingRow).where(PairingRow.expires_at <= now()))
    is_open = PairingRow.key_seed.is_(None)
    is_of_address = and_(is_open, PairingRow.address == address)
    if _count_pairings(session, is_of_address) >= MAX_OPEN_PER_ADDRESS:
        _drop_oldest_unconfirmed(session, address)
    _check_limit(session, MAX_OPEN_PER_ADDRESS, is_of_address)
    _check_limit(session, MAX_OPEN, is_open)
    token = keys.generate_token(keys.PAIRING)
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    session.add(
        PairingRow(
            device_code_hash=token.digest,
            user_code=code,
            address=address,
            is_for_agent=is_for_agent,
            agent_id=agent_id if is_for_agent else None,
            expires_at=now() + PAIRING_LIFETIME,
        )
    )
    return PairingStarted(
        device_code=token.raw,
        user_code=f"{code[:4]}-{code[4:]}",
        verification_uri=f"{public_url}/pair",
        expires_in=int(PAIRING_LIFETIME.total_seconds()),
    )


def _count_pairings(session: Session, *conditions: ColumnElement[bool]) -> int:
    """Return how many pairings meet the conditions; the caller has deleted the expired ones."""
    return session.scalar(select(func.count()).select_from(PairingRow).where(*conditions)) or 0


def _drop_oldest_unconfirmed(session: Session, address: str) -> None:
    """Delete the address's oldest pairing that no user has confirmed, if there is one."""
    oldest = (
        select(PairingRow.id)
        .where(PairingRow.address == address, PairingRow.user_id.is_(None))
        .order_by(PairingRow.expires_at)
        .limit(1)
        .scalar_subquery()
    )
    # The condition is repeated, since a user may confirm the pairing at the same moment.
    session.execute(
        delete(PairingRow)
        .where(PairingRow.id == oldest, PairingRow.user_id.is_(None))
        .execution_options(synchronize_session=False)
    )


def _check_limit(session: Session, limit: int, *conditions: ColumnElement[bool]) -> None:
    """Check that fewer pairings than ``limit`` meet the conditions.

    Raises:
        TooManyAttempts: there are as many; ``retry_after`` is when the first of them expires.
    """
    if _count_pairings(session, *conditions) < limit:
        return
    first_end = session.scalar(select(func.min(PairingRow.expires_at)).where(*conditions))
    wait = 1 if first_end is None else max(1, math.ceil((first_end - now()).total_seconds()))
    raise problems.TooManyAttempts(
        f"Too many machines are waiting to be paired. Try again in {wait} seconds.", retry_after=wait
    )


def poll_pairing(database: Database, poll: PairingPoll) -> PairingState:
    """Return the state of a pairing, and its keys after its confirmation: both, or for an agent the machine's.

    The first call after confirmation creates the keys; calls with ``repeat`` in the next five minutes return the same.

    Raises:
        PairingNotFound: the device code is unknown or expired, or the keys were returned before and the call is none
            with ``repeat``, or they were revoked, or the user has left the team since confirming; the pairing is
            deleted in the last two cases.
    """
    with database.reading() as session:
        confirmed = _get_by_device_code(session, poll.device_code)
    if confirmed.team_id is None:
        return PairingState(status="pending")
    with database.writing(confirmed.team_id) as session:
        pairing = _get_by_device_code(session, poll.device_code)
        if pairing.key_seed is not None and not poll.repeat:
            raise build_pairing_not_found_problem()
        answer = _get_keys(session, pairing, poll.device_code)
        if answer is None:
            session.delete(pairing)
    if answer is None:
        raise build_pairing_not_found_problem()
    return answer


def _get_by_device_code(session: Session, device_code: str) -> PairingRow:
    """Return the pairing with this device code.

    Raises:
        PairingNotFound: the code is unknown or expired.
    """
    if keys.is_well_formed(device_code, keys.PAIRING):
        pairing = session.scalar(
            select(PairingRow).where(
                PairingRow.device_code_hash == keys.digest(device_code), PairingRow.expires_at > now()
            )
        )
        if pairing is not None:
            return pairing
    raise build_pairing_not_found_problem()


def build_wrong_code_problem() -> problems.PairingNotFound:
    """Build the problem for a user's code that is unknown, expired or another user's; all look the same."""
    return problems.PairingNotFound(
        "This code is wrong, already used, or older than five minutes. For a new code, run modelyard agent pair on the"
        " machine again, or the command that showed this one."
    )


def build_pairing_not_found_problem() -> problems.PairingNotFound:
    """Build the problem for a device code that is unknown, expired or of no use any more; all look the same."""
    return problems.PairingNotFound("This pairing has ended, or was not confirmed within five minutes.")


def _get_keys(session: Session, pairing: PairingRow, device_code: str) -> PairingState | None:
    """Return the keys of a confirmed pairing; issue them, and record that, if they were not issued before.

    None if the user is no member of the team any more, or if a key has been revoked. Keys are created only now, so
    that unfetched keys never exist.
    """
    user = session.get(UserRow, pairing.user_id)
    if user is None or pairing.team_id is None or find_role(session, pairing.team_id, user.id) is None:
        return None
    if pairing.key_seed is None:
        pairing.key_seed = secrets.token_urlsafe(32)
        pairing.expires_at = now() + PAIRING_LIFETIME
        tokens = _derive_keys(pairing, device_code, pairing.key_seed)
        key = _issue_keys(session, pairing.team_id, user.id, pairing.device_name or "Device", tokens)
        actor = Actor("user", user.id, format_full_name(user.first_name, user.last_name))
        facts = {"kind": key.kind, "device_name": key.display_name, "key_prefix": key.key_prefix}
        record(session, actor, pairing.team_id, "device.paired", key.id, **facts)
    tokens = _derive_keys(pairing, device_code, pairing.key_seed)
    if not _are_valid(session, *tokens.values()):
        return None
    raw = {kind: token.raw for kind, token in tokens.items()}
    return PairingState(
        status="approved",
        raw_key=raw.get("device"),
        agent_key=raw["agent"],
        team_id=pairing.team_id,
        device_name=pairing.device_name,
    )


def _derive_keys(pairing: PairingRow, device_code: str, key_seed: str) -> dict[PairedKind, keys.NewToken]:
    """Return the keys of a pairing by their kind, the device's first; the same ones each time."""
    kinds: tuple[PairedKind, ...] = ("agent",) if pairing.is_for_agent else ("device", "agent")
    return {kind: keys.derive_token(PREFIXES[kind], device_code, key_seed) for kind in kinds}


def _issue_keys(
    session: Session, team_id: UUID, user_id: UUID, name: str, tokens: dict[PairedKind, keys.NewToken]
) -> CredentialRow:
    """Create the keys of these tokens, the agent's as paired with the device's if there is one; return the first."""
    rows: list[CredentialRow] = []
    for kind, token in tokens.items():
        row, _ = issue_key(session, team_id, user_id, KeyRequest(kind, name, _ACCESS[kind]), token)
        row.is_paired = True
        row.paired_with = rows[0].id if rows else None
        # The agent's row points to the device's.
        session.flush()
        rows.append(row)
    return rows[0]


def _are_valid(session: Session, *pair: keys.NewToken) -> bool:
    """Return whether all these keys exist and none is revoked."""
    is_valid = and_(CredentialRow.key_hash.in_([key.digest for key in pair]), CredentialRow.revoked_at.is_(None))
    return session.scalar(select(func.count()).select_from(CredentialRow).where(is_valid)) == len(pair)
