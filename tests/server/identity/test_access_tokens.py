import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity.secret import known_secret
from modelyard.server.identity.tables import SignInRow
from modelyard.server.identity.tokens import SECRET_NAME, AccessTokens, Claims
from tests.server.identity import forging
from tests.server.people.answers import refusal
from tests.server.world import Someone, World


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _secret(world: World) -> str:
    with world.parts.database.reading() as session:
        secret = known_secret(session, SECRET_NAME)
    assert secret is not None
    return secret


def _answer(world: World, token: str) -> tuple[int, str | None, dict[str, Any]]:
    return refusal(Someone(world.client, token, world.team_id).get("/users/me"))


def test_the_forge_itself_makes_good_tokens(world: World) -> None:
    token = forging.signed(forging.HEADER, _claims(str(world.owner.token)), _secret(world))
    assert _answer(world, token)[0] == 200


def test_no_forged_token_is_accepted_and_all_are_answered_alike(world: World) -> None:
    token = str(world.owner.token)
    kit = forging.forged(_claims(token), _secret(world), token)
    assert len(kit) >= 60
    nobody = _answer(world, "eyJ")
    accepted = [name for name, forged in kit.items() if _answer(world, forged) != nobody]
    assert not accepted
    assert nobody[0] == 401
    assert nobody[1] is not None


def test_a_token_says_who_and_which_session_and_no_team(world: World) -> None:
    claims = _claims(str(world.owner.token))
    assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp", "typ"}
    assert claims["sub"] == world.owner.user_id
    assert claims["exp"] - claims["iat"] == 3600
    assert world.team_id not in json.dumps(claims)


@pytest.mark.parametrize(("age_minutes", "status"), [(59, 200), (61, 401)])
def test_a_token_lives_for_an_hour(world: World, age_minutes: int, status: int) -> None:
    claims = _claims(str(world.owner.token))
    who = Claims(UUID(claims["sub"]), UUID(claims["sid"]))
    with world.parts.database.writing() as session:
        token = AccessTokens().make(session, who, now() - timedelta(minutes=age_minutes))
    assert _answer(world, token)[0] == status


def test_a_token_ends_with_its_session(world: World) -> None:
    someone = world.person("viewer")
    with world.parts.database.writing() as session:
        row = session.get_one(SignInRow, UUID(_claims(str(someone.token))["sid"]))
        row.expires_at = now() - timedelta(seconds=1)
    assert _answer(world, str(someone.token))[0] == 401


def test_a_token_of_another_registry_means_nothing_here(world: World) -> None:
    elsewhere = forging.signed(forging.HEADER, _claims(str(world.owner.token)), "x" * 64)
    assert _answer(world, elsewhere)[0] == 401
