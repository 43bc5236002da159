from datetime import timedelta
from typing import Any

import argon2
import pytest

from modelyard.server.database.base import now
from modelyard.server.database.job_run import JobRun
from modelyard.server.identity import keys
from modelyard.server.identity.operations import delete_expired_identity_rows
from modelyard.server.identity.tables import SignInRow, SpentTokenRow, UserRow
from tests.server.accounts_support.answers import Answer, refusal
from tests.server.conftest import CHEAP
from tests.server.harness import PASSWORD, ApiCaller, Harness


def _get_email(registry: Harness, caller: ApiCaller) -> str:
    return str(caller.get("/users/me").json()["email_address"])


def _log_in(registry: Harness, email: str, password: str = PASSWORD) -> Answer:
    return registry.anonymous.post("/auth/login", email_address=email, user_password=password)


def _session(registry: Harness) -> dict[str, Any]:
    """Create a user and sign in; return the tokens of the session."""
    tokens: dict[str, Any] = _log_in(registry, _get_email(registry, registry.create_member("viewer"))).json()
    return tokens


def _refresh(registry: Harness, token: str) -> Answer:
    return registry.anonymous.post("/auth/refresh", refresh_token=token)


def _is_signed_in(registry: Harness, access_token: str) -> bool:
    return ApiCaller(registry.client, access_token).get("/users/me").status_code == 200


def _set_spent_at(registry: Harness, token: str, seconds: float) -> None:
    """Set the time at which a refresh token was used to so many seconds ago."""
    with registry.resources.database.writing() as session:
        session.get_one(SpentTokenRow, keys.digest(token)).spent_at = now() - timedelta(seconds=seconds)


def test_login_returns_fields_of_source_api(registry: Harness) -> None:
    answer = _log_in(registry, "owner@studio.test")
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3600
    assert keys.is_well_formed(answer.json()["refresh_token"], keys.REFRESH)
    assert _is_signed_in(registry, answer.json()["access_token"])


def test_login_ignores_case_of_address_but_not_of_password(registry: Harness) -> None:
    assert _log_in(registry, "OWNER@Studio.Test").status_code == 200
    assert _log_in(registry, "owner@studio.test", PASSWORD.upper()).status_code == 401


def test_failed_logins_all_return_same_401(registry: Harness) -> None:
    email = _get_email(registry, registry.create_member("viewer"))
    wrong = [
        _log_in(registry, email, "wrong"),
        _log_in(registry, email, ""),
        _log_in(registry, "nobody@studio.test"),
        _log_in(registry, "no address"),
        _log_in(registry, ""),
        _log_in(registry, "owner@studio.test\x00"),
        _log_in(registry, "' OR 1=1 --"),
        _log_in(registry, "%@%"),
    ]
    assert {answer.headers["www-authenticate"] for answer in wrong} == {'Bearer realm="modelyard"'}
    assert all(refusal(answer) == refusal(wrong[0]) for answer in wrong)
    assert wrong[0].status_code == 401


def test_login_after_repeated_failures_returns_429_with_retry_after(registry: Harness) -> None:
    email = _get_email(registry, registry.create_member("viewer"))
    statuses = [_log_in(registry, email, "wrong").status_code for _ in range(10)]
    assert statuses == [401] * 10
    stopped = _log_in(registry, email)
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) == stopped.json()["retry_after"] > 0
    assert _log_in(registry, "owner@studio.test").status_code == 200


def test_login_to_unknown_account_is_rate_limited_too(registry: Harness) -> None:
    statuses = [_log_in(registry, "nobody-at-all@studio.test", "wrong").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]


def test_login_replaces_hash_with_outdated_cost(registry: Harness) -> None:
    email = _get_email(registry, registry.create_member("viewer"))
    older = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    with registry.resources.database.writing() as session:
        session.query(UserRow).filter_by(email_address=email).one().password_hash = older
    assert CHEAP.is_outdated(older)
    assert _log_in(registry, email).status_code == 200
    with registry.resources.database.reading() as session:
        assert not CHEAP.is_outdated(session.query(UserRow).filter_by(email_address=email).one().password_hash)


def test_refresh_returns_next_pair_of_same_session(registry: Harness) -> None:
    tokens = _session(registry)
    answer = _refresh(registry, tokens["refresh_token"])
    assert answer.status_code == 200
    assert set(answer.json()) == set(tokens)
    assert answer.json()["refresh_token"] != tokens["refresh_token"]
    assert _is_signed_in(registry, answer.json()["access_token"])
    assert _is_signed_in(registry, tokens["access_token"])


def test_refresh_repeatedly_with_newest_token_succeeds(registry: Harness) -> None:
    token = _session(registry)["refresh_token"]
    for _ in range(5):
        token = _refresh(registry, token).json()["refresh_token"]
    assert _refresh(registry, token).status_code == 200


def test_refresh_in_two_tabs_at_once_keeps_the_session(registry: Harness) -> None:
    token = _session(registry)["refresh_token"]
    newer = _refresh(registry, token).json()
    assert _refresh(registry, token).status_code == 401
    assert _is_signed_in(registry, newer["access_token"])
    assert _refresh(registry, newer["refresh_token"]).status_code == 200


def test_refresh_with_used_token_after_grace_ends_the_session(registry: Harness) -> None:
    token = _session(registry)["refresh_token"]
    newer = _refresh(registry, token).json()
    _set_spent_at(registry, token, seconds=31)
    assert _refresh(registry, token).status_code == 401
    assert not _is_signed_in(registry, newer["access_token"])
    assert _refresh(registry, newer["refresh_token"]).status_code == 401


def test_refresh_with_much_older_token_ends_the_session(registry: Harness) -> None:
    oldest = _session(registry)["refresh_token"]
    newest = oldest
    for _ in range(3):
        newest = _refresh(registry, newest).json()["refresh_token"]
    _set_spent_at(registry, oldest, seconds=3600)
    assert _refresh(registry, oldest).status_code == 401
    assert _refresh(registry, newest).status_code == 401


def test_session_unused_for_30_days_is_ended(registry: Harness) -> None:
    token = _session(registry)["refresh_token"]
    with registry.resources.database.writing() as session:
        row = session.query(SignInRow).filter_by(token_hash=keys.digest(token)).one()
        assert timedelta(days=29) < row.expires_at - now() <= timedelta(days=30)
        row.expires_at = now() - timedelta(seconds=1)
    assert _refresh(registry, token).status_code == 401


def test_refused_refreshes_all_return_same_problem(registry: Harness) -> None:
    ended = _session(registry)["refresh_token"]
    registry.anonymous.post("/auth/logout", refresh_token=ended)
    spent = _session(registry)["refresh_token"]
    _refresh(registry, spent)
    tokens = [ended, spent, keys.generate_token("mr-").raw, "x", "\x00", "mr-" + "é" * 49, str(registry.owner.token)]
    answers = [refusal(_refresh(registry, token)) for token in tokens]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401


def test_refresh_without_token_returns_422_with_field(registry: Harness) -> None:
    answer = registry.anonymous.post("/auth/refresh")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "refresh_token"


def test_logout_ends_this_session_only(registry: Harness) -> None:
    email = _get_email(registry, registry.create_member("viewer"))
    one, other = _log_in(registry, email).json(), _log_in(registry, email).json()
    assert registry.anonymous.post("/auth/logout", refresh_token=one["refresh_token"]).status_code == 204
    assert not _is_signed_in(registry, one["access_token"])
    assert _is_signed_in(registry, other["access_token"])


def test_logout_everywhere_ends_all_sessions_of_this_user_only(registry: Harness) -> None:
    email = _get_email(registry, registry.create_member("viewer"))
    one, other = _log_in(registry, email).json(), _log_in(registry, email).json()
    answer = registry.anonymous.post("/auth/logout", refresh_token=one["refresh_token"], everywhere=True)
    assert answer.status_code == 204
    assert not _is_signed_in(registry, one["access_token"])
    assert not _is_signed_in(registry, other["access_token"])
    assert _is_signed_in(registry, str(registry.owner.token))


def test_logout_everywhere_with_used_token_ends_own_session_only(registry: Harness) -> None:
    email = _get_email(registry, registry.create_member("viewer"))
    stolen, other = _log_in(registry, email).json(), _log_in(registry, email).json()
    _refresh(registry, stolen["refresh_token"])
    registry.anonymous.post("/auth/logout", refresh_token=stolen["refresh_token"], everywhere=True)
    assert not _is_signed_in(registry, stolen["access_token"])
    assert _is_signed_in(registry, other["access_token"])


@pytest.mark.parametrize("token", ["x", "mr-", "an unknown one"])
def test_logout_with_unknown_token_succeeds(registry: Harness, token: str) -> None:
    sent = keys.generate_token("mr-").raw if token == "an unknown one" else token
    assert registry.anonymous.post("/auth/logout", refresh_token=sent).status_code == 204


def test_delete_expired_identity_rows_keeps_active_sessions(registry: Harness) -> None:
    old, new = _session(registry)["refresh_token"], _session(registry)["refresh_token"]
    newer = _refresh(registry, old).json()["refresh_token"]
    with registry.resources.database.writing() as session:
        session.query(SignInRow).filter_by(token_hash=keys.digest(newer)).one().ended_at = now() - timedelta(days=31)
    delete_expired_identity_rows(JobRun(registry.resources.database, "clean-up"))
    with registry.resources.database.reading() as session:
        assert session.get(SpentTokenRow, keys.digest(old)) is None
        assert session.query(SignInRow).filter_by(token_hash=keys.digest(newer)).one_or_none() is None
    assert _refresh(registry, new).status_code == 200
