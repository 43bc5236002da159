"""Operations on tokens of sources: list, set and delete them, and read them for requests."""

import logging
from functools import lru_cache
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record
from modelyard.server.database.base import now
from modelyard.server.encryption import SecretCipher, SecretUnreadable
from modelyard.server.imports.tokens.tables import SourceTokenRow
from modelyard.server.outbound.policy import format_host, parse_listed_hosts
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.imports.tokens import (
    MAX_SOURCE_TOKENS,
    NewSourceToken,
    SourceToken,
    SourceTokenList,
    SourceTokenState,
)
from modelyard.wire.versions import Creator

log = logging.getLogger("modelyard.imports")


def list_source_tokens(session: Session, team: TeamContext, cipher: SecretCipher | None) -> SourceTokenList:
    """Return the hosts for which the team has a token, by name."""
    rows = session.scalars(select(SourceTokenRow).where(SourceTokenRow.team_id == team.team_id))
    tokens = [_build_token(row, cipher) for row in sorted(rows, key=lambda row: row.host)]
    return SourceTokenList(source_token_list=tokens, is_enabled=cipher is not None)


def _build_token(row: SourceTokenRow, cipher: SecretCipher | None) -> SourceToken:
    """Build the API's view of a token, which never has its value."""
    return SourceToken(
        host=row.host,
        set_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
        set_at=row.set_at,
        token_state=_get_state(row, cipher),
    )


def _get_state(row: SourceTokenRow, cipher: SecretCipher | None) -> SourceTokenState:
    """Return whether imports use a token."""
    if cipher is None:
        return "off"
    return "unreadable" if _decrypt(row, cipher) is None else "used"


def set_source_token(
    session: Session, team: TeamContext, cipher: SecretCipher | None, host: str, new: NewSourceToken
) -> None:
    """Store the token that is sent to a host, in place of the one before.

    Raises:
        InvalidRequest: the host is none.
        SecretsKeyMissing: the operator has set no key that encrypts it.
        SourceTokenLimitReached: the team has ``MAX_SOURCE_TOKENS`` for other hosts.
    """
    name = _normalize_host(host)
    if name is None:
        message = "Use a host, such as huggingface.co, or a host and a port"
        raise problems.InvalidRequest.for_field("host", message)
    if cipher is None:
        raise problems.SecretsKeyMissing(
            "This registry stores no tokens, since it has no key to encrypt them. Its operator sets one: "
            "MODELYARD_SECRETS_KEY or MODELYARD_SECRETS_KEY_FILE."
        )
    row = session.get(SourceTokenRow, (team.team_id, name))
    if row is None:
        _check_limit(session, team.team_id)
        row = SourceTokenRow(team_id=team.team_id, host=name)
        session.add(row)
    row.encrypted_token = cipher.encrypt(new.token, _build_purpose(team.team_id, name))
    row.creator_kind, row.creator_id, row.creator_name = team.creator.kind, team.creator.id, team.creator.name
    row.set_at = now()
    record(session, team.actor, team.team_id, "source_token.set", None, host=name)


def _check_limit(session: Session, team_id: UUID) -> None:
    """Check that the team may store another token; raises ``SourceTokenLimitReached``."""
    count = session.scalar(select(func.count()).where(SourceTokenRow.team_id == team_id)) or 0
    if count >= MAX_SOURCE_TOKENS:
        raise problems.SourceTokenLimitReached(
            f"The team has tokens for {count} hosts, which is the limit. Remove one first.", limit=MAX_SOURCE_TOKENS
        )


def delete_source_token(session: Session, team: TeamContext, host: str) -> None:
    """Delete the token for a host; raises ``SourceTokenNotFound`` if there is none."""
    # A stored host that is none is deleted by its own text.
    row = session.get(SourceTokenRow, (team.team_id, _normalize_host(host) or host))
    if row is None:
        raise problems.SourceTokenNotFound("The team has no token for this host.")
    session.delete(row)
    record(session, team.actor, team.team_id, "source_token.deleted", None, host=row.host)


def read_source_tokens(
    session: Session, team_id: UUID, cipher: SecretCipher | None
) -> dict[tuple[str, int], str] | None:
    """Return the team's tokens by host and port; those that cannot be used are left out, and logged.

    None without a key: tokens are off. If the team has some, this process lacks the key of another one: that is logged.
    """
    rows = session.scalars(select(SourceTokenRow).where(SourceTokenRow.team_id == team_id)).all()
    if cipher is None:
        if rows:
            _log_tokens_off(team_id)
        return None
    tokens = {}
    for row in rows:
        target, token = _parse_host(row.host), _decrypt(row, cipher)
        if target is None or token is None:
            log.warning("a token of a source cannot be used", extra={"team": str(team_id), "host": row.host})
        else:
            tokens[target] = token
    return tokens


@lru_cache(maxsize=1000)
def _log_tokens_off(team_id: UUID) -> None:
    """Log, once for each team in this process, that its tokens are not used."""
    log.warning(
        "tokens of sources are not used: this process has no MODELYARD_SECRETS_KEY or MODELYARD_SECRETS_KEY_FILE",
        extra={"team": str(team_id)},
    )


def _decrypt(row: SourceTokenRow, cipher: SecretCipher) -> str | None:
    """Return a stored token; None if it was encrypted with another key, or its host is none."""
    if _parse_host(row.host) is None:
        return None
    try:
        return cipher.decrypt(row.encrypted_token, _build_purpose(row.team_id, row.host))
    except SecretUnreadable:
        return None


def _build_purpose(team_id: UUID, host: str) -> str:
    """Return what a token is encrypted for, so that no row can have the value of another one."""
    return f"source-token:{team_id}:{host}"


def _normalize_host(text: str) -> str | None:
    """Return a host as it is stored, with its port unless that is 443; None if it is none."""
    target = _parse_host(text)
    return format_host(*target) if target else None


def _parse_host(text: str) -> tuple[str, int] | None:
    """Return the host and port of a text; None if it is none."""
    try:
        [target] = parse_listed_hosts([text])
    except ValueError:
        return None
    return target
