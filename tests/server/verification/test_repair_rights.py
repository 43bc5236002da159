"""Who may push the content of a failed version again: what makes it current is a change of the model."""

from typing import Any

import pytest

from tests.server.agents.machine import Machine
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.verification.machine_content import NEW, NEWER, OLD, OTHER, PATH, download_as_machine
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


def test_push_failed_version_again_with_another_size_lists_and_sends_that_size(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    wrong = make_model_file("wrong", 1000)
    unverified.register(wrong, PATH, file_hash=hash_of(NEW), replaces=old)
    unverified.verify_all()
    assert push(unverified, unverified.owner, NEW, replaces=old).status_code == 200
    assert get_shown(unverified, old) == (2, hash_of(NEW))
    [listed] = unverified.owner.get("/models").json()["model_list"]
    [desired] = machine.manifest().json()["model_list"]
    assert (unverified.model(old)["file_size"], listed["file_size"], desired["file_size"]) == (len(NEW),) * 3
    assert download_as_machine(unverified, machine, old) == NEW


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


@pytest.fixture
def never_current(unverified: UnverifiedTeam, old: str) -> str:
    """A model whose damaged version 3 was verified after another version was made current."""
    unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.register(NEWER, replaces=old)
    assert unverified.owner.post(f"/models/{old}/versions/1/activate").status_code == 200
    unverified.verify_all()
    unverified.resources.store.delete(unverified.find_store_key(old, 3))
    assert unverified.owner.get(f"/models/{old}/download", version=3, redirect="false").status_code == 409
    return old


@pytest.fixture
def failed_again(unverified: UnverifiedTeam, never_current: str) -> str:
    """A model whose version 3 its owner has pushed again as the next one, with wrong bytes."""
    answer = push(unverified, unverified.owner, OTHER, replaces=never_current, file_hash=hash_of(NEWER))
    assert answer.status_code == 200, answer.text
    unverified.verify_all()
    assert get_status(unverified, never_current) == "failed"
    return never_current


def get_status(unverified: UnverifiedTeam, model_id: str) -> str:
    """Return the verification of version 3."""
    versions = unverified.owner.get(f"/models/{model_id}/versions").json()["version_list"]
    return next(str(each["verification"]) for each in versions if each["version"] == 3)


def test_push_damaged_version_that_was_never_current_as_next_version_of_someone_elses_model_returns_403(
    unverified: UnverifiedTeam, member: ApiCaller, never_current: str
) -> None:
    check_refused(push(unverified, member, NEWER, replaces=never_current))


def test_push_content_of_damaged_version_that_was_never_current_repairs_it(
    unverified: UnverifiedTeam, member: ApiCaller, never_current: str
) -> None:
    assert push(unverified, member, NEWER).status_code == 200
    assert get_shown(unverified, never_current) == (1, hash_of(OLD))
    assert get_status(unverified, never_current) == "verified"


def test_push_content_of_pending_version_that_failed_of_someone_elses_model_returns_403(
    unverified: UnverifiedTeam, member: ApiCaller, failed_again: str
) -> None:
    check_refused(member.presign(NEWER, PATH, file_hash=hash_of(NEWER)))
    check_refused(push(unverified, member, NEWER))
    assert get_shown(unverified, failed_again) == (1, hash_of(OLD))


def test_push_content_of_pending_version_that_failed_by_an_admin_makes_it_current(
    unverified: UnverifiedTeam, failed_again: str
) -> None:
    admin = unverified.registry.create_member("admin", unverified.owner)
    assert push(unverified, admin, NEWER).status_code == 200
    assert get_shown(unverified, failed_again) == (3, hash_of(NEWER))


def test_register_content_of_pending_version_that_failed_as_another_model_leaves_it_failed(
    unverified: UnverifiedTeam, member: ApiCaller, failed_again: str
) -> None:
    unverified.register(NEWER, "loras/other.safetensors", owner=member)
    assert get_shown(unverified, failed_again) == (1, hash_of(OLD))
    assert get_status(unverified, failed_again) == "failed"


def test_repair_model_that_shares_the_content_of_a_pending_version_leaves_that_failed(
    unverified: UnverifiedTeam, member: ApiCaller, never_current: str
) -> None:
    shared = "loras/shared.safetensors"
    other = unverified.register(NEWER, shared, owner=member)
    unverified.verify_all()
    unverified.resources.store.delete(unverified.find_store_key(other, 1))
    assert unverified.owner.get(f"/models/{other}/download", redirect="false").status_code == 409
    push(unverified, unverified.owner, OTHER, replaces=never_current, file_hash=hash_of(NEWER))
    unverified.verify_all()
    assert (unverified.state(other), get_status(unverified, never_current)) == ("failed", "failed")
    unverified.register(NEWER, shared, owner=member)
    assert get_shown(unverified, other) == (1, hash_of(NEWER))
    assert unverified.state(other) == "verified"
    assert get_shown(unverified, never_current) == (1, hash_of(OLD))
