from datetime import timedelta
from typing import Any

import argon2
import pytest

from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.operations import sweep
from modelyard.server.identity.tables import SignInRow, SpentTokenRow, UserRow
from tests.server.conftest import CHEAP
from tests.server.people.answers import Answer, refusal
from tests.server.world import PASSWORD, Someone, World


def _email(world: World, someone: Someone) -> str:
    return str(someone.get("/users/me").json()["email_address"])


def _log_in(world: World, email: str, password: str = PASSWORD) -> Answer:
    return world.nobody.post("/auth/login", email_address=email, user_password=password)


def _session(world: World) -> dict[str, Any]:
    """The tokens of a new user's new session."""
    tokens: dict[str, Any] = _log_in(world, _email(world, world.person("viewer"))).json()
    return tokens


def _refresh(world: World, token: str) -> Answer:
    return world.nobody.post("/auth/refresh", refresh_token=token)


def _is_in(world: World, access_token: str) -> bool:
    return Someone(world.client, access_token).get("/users/me").status_code == 200


def _spend_earlier(world: World, token: str, seconds: float) -> None:
    """Let the token have been used up this many seconds ago."""
    with world.parts.database.writing() as session:
        session.get_one(SpentTokenRow, keys.digest(token)).spent_at = now() - timedelta(seconds=seconds)


def test_signing_in_answers_the_source_apis_triple(world: World) -> None:
    answer = _log_in(world, "owner@studio.test")
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3600
    assert keys.is_well_formed(answer.json()["refresh_token"], keys.REFRESH)
    assert _is_in(world, answer.json()["access_token"])


def test_case_does_not_matter_in_an_address_and_does_in_a_password(world: World) -> None:
    assert _log_in(world, "OWNER@Studio.Test").status_code == 200
    assert _log_in(world, "owner@studio.test", PASSWORD.upper()).status_code == 401


def test_every_failed_sign_in_is_one_answer(world: World) -> None:
    email = _email(world, world.person("viewer"))
    wrong = [
        _log_in(world, email, "wrong"),
        _log_in(world, email, ""),
        _log_in(world, "nobody@studio.test"),
        _log_in(world, "no address"),
        _log_in(world, ""),
        _log_in(world, "owner@studio.test\x00"),
        _log_in(world, "' OR 1=1 --"),
        _log_in(world, "%@%"),
    ]
    assert {answer.headers["www-authenticate"] for answer in wrong} == {'Bearer realm="modelyard"'}
    assert all(refusal(answer) == refusal(wrong[0]) for answer in wrong)
    assert wrong[0].status_code == 401


def test_guessing_is_stopped_and_says_for_how_long(world: World) -> None:
    email = _email(world, world.person("viewer"))
    statuses = [_log_in(world, email, "wrong").status_code for _ in range(10)]
    assert statuses == [401] * 10
    stopped = _log_in(world, email)
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) == stopped.json()["retry_after"] > 0
    assert _log_in(world, "owner@studio.test").status_code == 200


def test_an_unknown_account_is_stopped_like_a_known_one(world: World) -> None:
    statuses = [_log_in(world, "nobody-at-all@studio.test", "wrong").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]


def test_signing_in_renews_a_hash_of_another_cost(world: World) -> None:
    email = _email(world, world.person("viewer"))
    older = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    with world.parts.database.writing() as session:
        session.query(UserRow).filter_by(email_address=email).one().password_hash = older
    assert CHEAP.is_outdated(older)
    assert _log_in(world, email).status_code == 200
    with world.parts.database.reading() as session:
        assert not CHEAP.is_outdated(session.query(UserRow).filter_by(email_address=email).one().password_hash)


def test_refreshing_gives_the_next_pair_of_the_same_session(world: World) -> None:
    tokens = _session(world)
    answer = _refresh(world, tokens["refresh_token"])
    assert answer.status_code == 200
    assert set(answer.json()) == set(tokens)
    assert answer.json()["refresh_token"] != tokens["refresh_token"]
    assert _is_in(world, answer.json()["access_token"])
    assert _is_in(world, tokens["access_token"])


def test_a_chain_of_refreshes_goes_on(world: World) -> None:
    token = _session(world)["refresh_token"]
    for _ in range(5):
        token = _refresh(world, token).json()["refresh_token"]
    assert _refresh(world, token).status_code == 200


def test_two_tabs_that_refresh_at_once_lose_nothing(world: World) -> None:
    token = _session(world)["refresh_token"]
    newer = _refresh(world, token).json()
    assert _refresh(world, token).status_code == 401
    assert _is_in(world, newer["access_token"])
    assert _refresh(world, newer["refresh_token"]).status_code == 200


def test_a_stolen_refresh_token_ends_the_session_for_both(world: World) -> None:
    token = _session(world)["refresh_token"]
    newer = _refresh(world, token).json()
    _spend_earlier(world, token, seconds=31)
    assert _refresh(world, token).status_code == 401
    assert not _is_in(world, newer["access_token"])
    assert _refresh(world, newer["refresh_token"]).status_code == 401


def test_a_refresh_token_from_long_before_the_last_one_ends_the_session_too(world: World) -> None:
    oldest = _session(world)["refresh_token"]
    newest = oldest
    for _ in range(3):
        newest = _refresh(world, newest).json()["refresh_token"]
    _spend_earlier(world, oldest, seconds=3600)
    assert _refresh(world, oldest).status_code == 401
    assert _refresh(world, newest).status_code == 401


def test_a_session_ends_after_30_days_without_use(world: World) -> None:
    token = _session(world)["refresh_token"]
    with world.parts.database.writing() as session:
        row = session.query(SignInRow).filter_by(token_hash=keys.digest(token)).one()
        assert timedelta(days=29) < row.expires_at - now() <= timedelta(days=30)
        row.expires_at = now() - timedelta(seconds=1)
    assert _refresh(world, token).status_code == 401


def test_every_refused_refresh_is_one_answer(world: World) -> None:
    ended = _session(world)["refresh_token"]
    world.nobody.post("/auth/logout", refresh_token=ended)
    spent = _session(world)["refresh_token"]
    _refresh(world, spent)
    tokens = [ended, spent, keys.new_token("mr-").raw, "x", "\x00", "mr-" + "é" * 49, str(world.owner.token)]
    answers = [refusal(_refresh(world, token)) for token in tokens]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401


def test_refreshing_without_a_token_names_the_field(world: World) -> None:
    answer = world.nobody.post("/auth/refresh")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "refresh_token"


def test_signing_out_ends_this_session_only(world: World) -> None:
    email = _email(world, world.person("viewer"))
    one, other = _log_in(world, email).json(), _log_in(world, email).json()
    assert world.nobody.post("/auth/logout", refresh_token=one["refresh_token"]).status_code == 204
    assert not _is_in(world, one["access_token"])
    assert _is_in(world, other["access_token"])


def test_signing_out_everywhere_ends_all_sessions_of_this_user_only(world: World) -> None:
    email = _email(world, world.person("viewer"))
    one, other = _log_in(world, email).json(), _log_in(world, email).json()
    answer = world.nobody.post("/auth/logout", refresh_token=one["refresh_token"], everywhere=True)
    assert answer.status_code == 204
    assert not _is_in(world, one["access_token"])
    assert not _is_in(world, other["access_token"])
    assert _is_in(world, str(world.owner.token))


def test_a_used_up_token_cannot_sign_its_user_out_everywhere(world: World) -> None:
    email = _email(world, world.person("viewer"))
    stolen, other = _log_in(world, email).json(), _log_in(world, email).json()
    _refresh(world, stolen["refresh_token"])
    world.nobody.post("/auth/logout", refresh_token=stolen["refresh_token"], everywhere=True)
    assert not _is_in(world, stolen["access_token"])
    assert _is_in(world, other["access_token"])


@pytest.mark.parametrize("token", ["x", "mr-", "an unknown one"])
def test_signing_out_of_nothing_is_fine(world: World, token: str) -> None:
    sent = keys.new_token("mr-").raw if token == "an unknown one" else token
    assert world.nobody.post("/auth/logout", refresh_token=sent).status_code == 204


def test_what_ended_long_ago_is_forgotten_and_what_lives_is_not(world: World) -> None:
    old, new = _session(world)["refresh_token"], _session(world)["refresh_token"]
    newer = _refresh(world, old).json()["refresh_token"]
    with world.parts.database.writing() as session:
        session.query(SignInRow).filter_by(token_hash=keys.digest(newer)).one().ended_at = now() - timedelta(days=31)
    with world.parts.database.writing() as session:
        sweep(session)
    with world.parts.database.reading() as session:
        assert session.get(SpentTokenRow, keys.digest(old)) is None
        assert session.query(SignInRow).filter_by(token_hash=keys.digest(newer)).one_or_none() is None
    assert _refresh(world, new).status_code == 200
