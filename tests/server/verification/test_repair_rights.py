"""Who may push the content of a failed version again: what makes it current is a change of the model."""

from typing import Any

import pytest

from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.verification.machine_content import NEW, NEWER, OLD, OTHER, PATH
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow


@pytest.fixture
def member(unverified: UnverifiedTeam) -> ApiCaller:
    """A member who has registered nothing."""
    return unverified.registry.create_member("member", unverified.owner)


@pytest.fixture
def failed(unverified: UnverifiedTeam, old: str) -> str:
    """A model with a current version, and a newer one whose bytes are not those of its hash."""
    unverified.register(OTHER, PATH, file_hash=hash_of(NEW), replaces=old)
    unverified.verify_all()
    return old


def push(unverified: UnverifiedTeam, caller: ApiCaller, content: bytes, **changed: Any) -> Any:
    """Upload content, to no model's path, and register it at that of the model."""
    key = unverified.send(content, caller)
    return caller.post("/models", **caller.new_model(content, PATH, storage_key=key, keeps_name=True, **changed))


def check_refused(answer: Any) -> None:
    assert (answer.status_code, answer.json()["error_code"]) == (403, "role_too_low"), answer.text
    assert answer.json()["needed_role"] == "admin"


def get_shown(unverified: UnverifiedTeam, model_id: str) -> tuple[int, str]:
    """Return the number and hash of the version that a model shows, once all that waits is verified."""
    unverified.verify_all()
    model = unverified.model(model_id)
    return model["version"], model["file_hash"]


@pytest.mark.parametrize("is_new_version", [True, False])
def test_push_failed_version_of_someone_elses_model_again_returns_403(
    unverified: UnverifiedTeam, member: ApiCaller, failed: str, is_new_version: bool
) -> None:
    named = {"replaces": failed} if is_new_version else {}
    check_refused(member.presign(NEW, PATH, file_hash=hash_of(NEW), **named))
    check_refused(push(unverified, member, NEW, **named))
    assert get_shown(unverified, failed) == (1, hash_of(OLD))


def test_push_other_content_of_someone_elses_model_after_an_older_version_returns_403_instead_of_409(
    unverified: UnverifiedTeam, member: ApiCaller, failed: str
) -> None:
    check_refused(push(unverified, member, NEWER, replaces=failed, expected_version=1))


def test_push_first_version_that_failed_of_someone_elses_model_again_returns_403(
    unverified: UnverifiedTeam, member: ApiCaller
) -> None:
    model_id = unverified.register(OTHER, PATH, file_hash=hash_of(NEW))
    unverified.verify_all()
    check_refused(member.presign(NEW, PATH, file_hash=hash_of(NEW)))
    check_refused(push(unverified, member, NEW))
    unverified.verify_all()
    assert unverified.state(model_id) == "failed"


def test_push_failed_version_of_own_model_again_makes_it_current(unverified: UnverifiedTeam, member: ApiCaller) -> None:
    model_id = unverified.register(OLD, PATH, owner=member)
    unverified.verify_all()
    unverified.register(OTHER, PATH, owner=member, file_hash=hash_of(NEW), replaces=model_id)
    unverified.verify_all()
    assert push(unverified, member, NEW, replaces=model_id).status_code == 200
    assert get_shown(unverified, model_id) == (2, hash_of(NEW))


def test_push_failed_version_again_by_an_admin_makes_it_current(unverified: UnverifiedTeam, failed: str) -> None:
    admin = unverified.registry.create_member("admin", unverified.owner)
    assert push(unverified, admin, NEW).status_code == 200
    assert get_shown(unverified, failed) == (2, hash_of(NEW))


def test_push_failed_version_again_with_another_size_serves_that_size(unverified: UnverifiedTeam, old: str) -> None:
    wrong = make_model_file("wrong", 1000)
    unverified.register(wrong, PATH, file_hash=hash_of(NEW), replaces=old)
    unverified.verify_all()
    assert push(unverified, unverified.owner, NEW, replaces=old).status_code == 200
    assert get_shown(unverified, old) == (2, hash_of(NEW))
    assert unverified.model(old)["file_size"] == len(NEW)


def test_push_pending_content_again_with_another_size_says_which_size_is_kept(
    unverified: UnverifiedTeam, old: str
) -> None:
    wrong = make_model_file("wrong", 1000)
    unverified.register(wrong, PATH, file_hash=hash_of(NEW), replaces=old)
    answer = push(unverified, unverified.owner, NEW, replaces=old)
    assert answer.json()["ignored_list"] == [{"field": "file_size", "sent": len(NEW), "kept": len(wrong)}]


def test_push_content_of_damaged_current_version_of_someone_elses_model_repairs_it(
    unverified: UnverifiedTeam, member: ApiCaller, old: str
) -> None:
    unverified.resources.store.delete(unverified.find_store_key(old, 1))
    assert unverified.owner.get(f"/models/{old}/download", redirect="false").status_code == 409
    assert push(unverified, member, OLD).status_code == 200
    assert get_shown(unverified, old) == (1, hash_of(OLD))
    assert unverified.download(old) == OLD


def test_push_damaged_version_that_was_never_current_as_next_version_of_someone_elses_model_returns_403(
    unverified: UnverifiedTeam, member: ApiCaller, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.register(NEWER, replaces=old)
    assert unverified.owner.post(f"/models/{old}/versions/1/activate").status_code == 200
    unverified.verify_all()
    unverified.resources.store.delete(unverified.find_store_key(old, 3))
    assert unverified.owner.get(f"/models/{old}/download", version=3, redirect="false").status_code == 409
    check_refused(push(unverified, member, NEWER, replaces=old))
    assert push(unverified, member, NEWER).status_code == 200
    assert get_shown(unverified, old) == (1, hash_of(OLD))
