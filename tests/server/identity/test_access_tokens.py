import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity.access_tokens import SECRET_NAME, AccessTokens, Claims
from modelyard.server.identity.registry_secrets import find_secret
from modelyard.server.identity.tables import SignInRow
from tests.server.accounts_support.answers import refusal
from tests.server.harness import ApiCaller, Harness
from tests.server.identity import forging

pytestmark = pytest.mark.slow


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _secret(registry: Harness) -> str:
    with registry.resources.database.reading() as session:
        secret = find_secret(session, SECRET_NAME)
    assert secret is not None
    return secret


def _answer(registry: Harness, token: str) -> tuple[int, str | None, dict[str, Any]]:
    return refusal(ApiCaller(registry.client, token, registry.team_id).get("/users/me"))


def test_build_signed_token_without_changes_is_accepted(registry: Harness) -> None:
    token = forging.build_signed_token(forging.HEADER, _claims(str(registry.owner.token)), _secret(registry))
    assert _answer(registry, token)[0] == 200


def test_forged_access_tokens_all_return_same_401(registry: Harness) -> None:
    token = str(registry.owner.token)
    forged_tokens = forging.build_forged_tokens(_claims(token), _secret(registry), token)
    assert len(forged_tokens) >= 60
    refusal_of_malformed = _answer(registry, "eyJ")
    accepted = [name for name, forged in forged_tokens.items() if _answer(registry, forged) != refusal_of_malformed]
    assert not accepted
    assert refusal_of_malformed[0] == 401
    assert refusal_of_malformed[1] is not None


def test_access_token_contains_user_and_session_but_no_team(registry: Harness) -> None:
    claims = _claims(str(registry.owner.token))
    assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp", "typ"}
    assert claims["sub"] == registry.owner.user_id
    assert claims["exp"] - claims["iat"] == 3600
    assert registry.team_id not in json.dumps(claims)


@pytest.mark.parametrize(("age_minutes", "status"), [(59, 200), (61, 401)])
def test_access_token_after_an_hour_is_refused(registry: Harness, age_minutes: int, status: int) -> None:
    claims = _claims(str(registry.owner.token))
    who = Claims(UUID(claims["sub"]), UUID(claims["sid"]))
    with registry.resources.database.writing() as session:
        token = AccessTokens().issue(session, who, now() - timedelta(minutes=age_minutes))
    assert _answer(registry, token)[0] == status


def test_access_token_of_ended_session_is_refused(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    with registry.resources.database.writing() as session:
        row = session.get_one(SignInRow, UUID(_claims(str(someone.token))["sid"]))
        row.expires_at = now() - timedelta(seconds=1)
    assert _answer(registry, str(someone.token))[0] == 401


def test_access_token_of_other_registry_is_refused(registry: Harness) -> None:
    foreign_token = forging.build_signed_token(forging.HEADER, _claims(str(registry.owner.token)), "x" * 64)
    assert _answer(registry, foreign_token)[0] == 401
