"""Strength rules of passwords, for each operation that sets a new password."""

import cProfile
import random
import threading

import pytest

from modelyard.server.accounts.operations import create_reset_token
from modelyard.server.identity.password_rules import check_new_password
from modelyard.wire.problems import InvalidRequest
from tests.server.harness import PASSWORD, Harness

PERSON = ("ada.lovelace@studio.example", "Ada", "Lovelace")
COMMON = ["password", "P@ssw0rd", "P@$$w0rd!", "12345678", "letmein!!!", "qwertyuiop", "aaaaaaaa", "abcabcabcabc"]
OWN = ["ada.lovelace@studio.example", "ada.lovelace", "Lovelace1", "studio.example", "4d4lovelace"]
TAKEN = [PASSWORD, "kX9-pq2!vB", "correct horse", "вечерний чай", "夜の散歩は楽しい", "x" * 60 + "kX9-pq2!vB"]
OURS = ["modelyard", "comfyui1"]


@pytest.mark.parametrize("password", [*COMMON, *OWN, *OURS, "password" * 16])
def test_check_new_password_common_or_own_address_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_new_password(password, "new_password", PERSON)
    assert [error["field"] for error in refused.value.facts["errors"]] == ["new_password"]


@pytest.mark.parametrize("password", TAKEN)
def test_check_new_password_strong_passwords_are_accepted(password: str) -> None:
    check_new_password(password, "new_password", PERSON)


def test_check_new_password_longest_input_calls_at_most_100_000_functions() -> None:
    """The library itself takes minutes for 128 symbols that each may stand for several letters.

    Counted and not timed, so that other work on the machine changes nothing; 25,000 when this was written.
    """
    check_new_password(PASSWORD, "new_password", PERSON)
    chance = random.Random(7)
    for symbols in ("4@8({[3&6911!|15$7+%2a", "0123456789", "\U0001f4a5\u0301a"):
        password = "".join(chance.choice(symbols) for _ in range(128))
        profile = cProfile.Profile()
        profile.runcall(check_new_password, password, "new_password", PERSON)
        assert sum(entry.callcount for entry in profile.getstats()) < 100_000


def test_check_new_password_in_parallel_keeps_personal_words_apart() -> None:
    wrong: list[str] = []

    def choose(name: str) -> None:
        for _ in range(5):
            try:
                check_new_password(f"{name}.surname", "new_password", (f"{name}.surname@studio.example",))
            except InvalidRequest:
                continue
            wrong.append(name)

    threads = [threading.Thread(target=choose, args=(f"zbq{number}vex",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_accept_invitation_with_common_password_returns_422_and_stays_open(registry: Harness) -> None:
    token = registry.owner.post("/invitations", email_address="grace@studio.test", invitation_role="viewer").json()[
        "invitation_token"
    ]
    body = {"invitation_token": token, "first_name": "Grace", "last_name": "Hopper"}
    for password in ("password1", "grace@studio.test", "GraceHopper"):
        refused = registry.anonymous.post("/invitations/accept", **body, user_password=password)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "user_password"
    assert registry.anonymous.post("/invitations/accept", **body, user_password=PASSWORD).status_code == 200


def test_change_password_to_common_one_returns_422_and_keeps_old_one(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    refused = someone.put("/users/me/password", current_password=PASSWORD, new_password="qwerty123")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "new_password"
    assert someone.put("/users/me/password", current_password=PASSWORD, new_password=PASSWORD).status_code == 200


def test_reset_password_to_common_one_returns_422_and_keeps_link(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    with registry.resources.database.writing() as session:
        token = create_reset_token(session, someone_address(registry, someone.user_id))
    refused = registry.anonymous.post("/auth/password-reset", reset_token=token, new_password="iloveyou")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "new_password"
    assert registry.anonymous.post("/auth/password-reset", reset_token=token, new_password=PASSWORD).status_code == 200


def someone_address(registry: Harness, user_id: str) -> str:
    members = registry.owner.get("/members", per_page=100).json()["member_list"]
    return next(str(row["email_address"]) for row in members if row["user_id"] == user_id)
