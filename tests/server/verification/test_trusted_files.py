"""Trusted files: pickles that the scan has refused are verified again once an admin has allowed them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.server.agents.machine import add_machine
from tests.server.harness import hash_of
from tests.server.inspection import builders
from tests.server.inspection.builders import ZipEntry
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.unverified_team import UnverifiedTeam
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

RUN = builders.call(builders.named("os", "system"), builders.text("true"))
UNSAFE = builders.build_tensorless_checkpoint(RUN)
UNSAFE_HASH = hash_of(UNSAFE)
CLEAN = builders.build_checkpoint()
PATH = "ultralytics/face.pt"
REASON = {"reason": "The original file of its authors."}


@pytest.fixture
def team(unverified: UnverifiedTeam) -> UnverifiedTeam:
    """A team whose admins may allow single files."""
    set_policy(unverified, "trusted")
    return unverified


def set_policy(team: UnverifiedTeam, policy: str) -> None:
    assert team.owner.put("/teams/current", pickle_policy=policy).status_code == 200


def allow(team: UnverifiedTeam) -> None:
    assert team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON).status_code == 200


@contextmanager
def verify_one_meanwhile(team: UnverifiedTeam) -> Iterator[None]:
    """Start the verification of one blob, and let it read the content only at the end of the block."""
    store = team.resources.store
    assert isinstance(store, FaultyStore)
    store.stalling.add(str(team.owner.team_id))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(team.verify)
        assert store.stalled.acquire(timeout=PATIENCE_SECONDS)
        store.stalling.clear()
        yield
        store.release.set()
    assert future.result() is True


def push_refused(team: UnverifiedTeam) -> str:
    model_id = team.register(UNSAFE, PATH)
    team.verify()
    assert team.state(model_id) == "failed"
    return model_id


def push_same_content(team: UnverifiedTeam, content: bytes, path: str) -> dict[str, object]:
    """Register content that the team stores already with another path; return the response's body."""
    key = team.owner.presign(content, path, file_hash=hash_of(content)).json()["storage_key"]
    body: dict[str, object] = team.owner.post("/models", **team.owner.new_model(content, path, storage_key=key)).json()
    return body


def find_in(team: UnverifiedTeam, content: bytes, path: str = PATH) -> dict[str, Any]:
    """Push a file that the scan refuses; return its findings."""
    model_id = team.register(content, path)
    team.verify()
    findings: dict[str, Any] = team.owner.get(f"/models/{model_id}/versions/1/findings").json()
    assert (findings["pickle_scan"], findings["verification"]) == ("refused", "failed")
    return findings


def test_findings_of_refused_file_list_what_it_imports(team: UnverifiedTeam) -> None:
    findings = team.owner.get(f"/models/{push_refused(team)}/versions/1/findings").json()
    assert (findings["pickle_scan"], findings["verification"], findings["trusted"]) == ("refused", "failed", None)
    assert "os.system" in findings["finding"]
    assert findings["import_list"] == [{"name": "os.system", "is_expected": False}]
    assert findings["file_hash"] == UNSAFE_HASH


def test_findings_list_imports_of_pickles_beside_a_damaged_one(team: UnverifiedTeam) -> None:
    junk = ZipEntry("archive/a.pkl", b"\x80\x02cos\n")
    unsafe = ZipEntry("archive/data.pkl", builders.build_pickle(RUN))
    findings = find_in(team, builders.build_zip(junk, unsafe, ZipEntry("archive/version", b"3\n")))
    assert findings["import_list"] == [{"name": "os.system", "is_expected": False}]
    assert findings["is_complete"] is False


def test_findings_list_unexpected_imports_first_and_say_if_names_are_left_out(team: UnverifiedTeam) -> None:
    expected = [builders.named("torch", "FloatStorage"), builders.named("collections", "OrderedDict")]
    few = b"0".join([*expected, builders.named("os", "system")])
    findings = find_in(team, builders.build_tensorless_checkpoint(few), "ultralytics/few.pt")
    assert [each["is_expected"] for each in findings["import_list"]] == [False, True, True]
    assert findings["is_complete"] is True
    many = b"0".join(builders.named("m", f"name{n}") for n in range(101))
    findings = find_in(team, builders.build_tensorless_checkpoint(many), "ultralytics/many.pt")
    assert (len(findings["import_list"]), findings["is_complete"]) == (100, False)


def test_findings_of_file_with_many_long_pickles_list_what_the_first_imports(team: UnverifiedTeam) -> None:
    long = builders.build_pickle(b"N0" * 150_000 + RUN)
    rest = [ZipEntry(f"archive/{n}.pkl", long) for n in range(90)]
    content = builders.build_zip(ZipEntry("archive/data.pkl", builders.build_pickle(RUN)), *rest)
    findings = find_in(team, content)
    assert findings["import_list"] == [{"name": "os.system", "is_expected": False}]
    assert findings["is_complete"] is False


def test_findings_of_legacy_file_are_complete(team: UnverifiedTeam) -> None:
    findings = find_in(team, builders.build_legacy_checkpoint(RUN))
    assert findings["import_list"] == [{"name": "os.system", "is_expected": False}]
    assert findings["is_complete"] is True


def test_findings_of_allowed_file_keep_its_imports_after_withdrawal(team: UnverifiedTeam) -> None:
    model_id = push_refused(team)
    allow(team)
    team.verify()
    assert team.owner.delete(f"/trusted-files/{UNSAFE_HASH}").status_code == 204
    findings = team.owner.get(f"/models/{model_id}/versions/1/findings").json()
    assert findings["import_list"] == [{"name": "os.system", "is_expected": False}]
    assert "os.system" in findings["finding"]
    allowed = team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON).json()
    assert allowed["findings"]["import_list"] == findings["import_list"]


def test_records_of_refused_file_leave_its_imports_out(team: UnverifiedTeam) -> None:
    model_id = push_refused(team)
    [version] = team.owner.get(f"/models/{model_id}/versions").json()["version_list"]
    for metadata in (version["metadata"], team.model(model_id)["metadata"], team.row(model_id).facts):
        assert "imports" not in metadata
        assert "imports" not in metadata["refusal"]


def test_get_findings_with_key_of_machine_returns_403(team: UnverifiedTeam) -> None:
    model_id = push_refused(team)
    machine = add_machine(team.registry, team.owner)
    assert machine.key.get(f"/models/{model_id}/versions/1/findings").status_code == 403


def test_findings_of_clean_file_have_no_finding(team: UnverifiedTeam) -> None:
    model_id = team.register(CLEAN, PATH)
    team.verify()
    findings = team.owner.get(f"/models/{model_id}/versions/1/findings").json()
    assert (findings["pickle_scan"], findings["finding"], findings["import_list"]) == ("clean", None, [])


def test_allow_refused_file_verifies_it_again_and_makes_it_current(team: UnverifiedTeam) -> None:
    model_id = push_refused(team)
    allowed = team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON)
    assert allowed.status_code == 200, allowed.text
    assert "os.system" in allowed.json()["findings"]["finding"]
    assert team.state(model_id) == "pending"
    team.verify()
    model = team.model(model_id)
    assert (model["verification"], model["pending_version"]) == ("verified", None)
    assert model["metadata"]["extra"]["pickle_scan"] == "allowed"
    assert team.download(model_id) == UNSAFE
    findings = team.owner.get(f"/models/{model_id}/versions/1/findings").json()
    assert (findings["pickle_scan"], findings["trusted"]["reason"]) == ("allowed", REASON["reason"])


def test_allow_file_records_admin_hash_and_reason(team: UnverifiedTeam) -> None:
    push_refused(team)
    for _ in range(2):
        assert team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON).status_code == 200
    [event] = team.owner.get("/audit-events", action="file.trusted").json()["audit_event_list"]
    assert event["object_id"] == UNSAFE_HASH
    assert event["facts"]["file_hash"] == UNSAFE_HASH
    assert event["facts"]["reason"] == REASON["reason"]
    assert event["actor_kind"] == "user"


def test_allow_file_under_other_policy_returns_409(unverified: UnverifiedTeam) -> None:
    set_policy(unverified, "scan")
    push_refused(unverified)
    refused = unverified.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "trust_not_allowed")


def test_allow_file_that_the_scan_has_not_refused_returns_404(team: UnverifiedTeam) -> None:
    team.register(CLEAN, PATH)
    team.verify()
    for file_hash in (hash_of(CLEAN), UNSAFE_HASH):
        assert team.owner.put(f"/trusted-files/{file_hash}", **REASON).status_code == 404


def test_allow_hash_does_not_accept_other_bytes_declared_with_it(team: UnverifiedTeam) -> None:
    push_refused(team)
    assert team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON).status_code == 200
    team.verify()
    other = builders.build_tensorless_checkpoint(builders.call(builders.named("os", "remove"), builders.text("true")))
    assert len(other) == len(UNSAFE)
    other_id = team.register(other, "ultralytics/other.pt", file_hash=UNSAFE_HASH)
    team.verify()
    assert team.state(other_id) == "failed"


def test_new_upload_of_trusted_file_is_accepted_and_refused_after_withdrawal(team: UnverifiedTeam) -> None:
    model_id = push_refused(team)
    assert team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON).status_code == 200
    team.verify()
    assert "id" in push_same_content(team, UNSAFE, "ultralytics/two.pt")
    assert team.owner.delete(f"/trusted-files/{UNSAFE_HASH}").status_code == 204
    assert team.owner.get(f"/trusted-files/{UNSAFE_HASH}").status_code == 404
    assert push_same_content(team, UNSAFE, "ultralytics/three.pt")["error_code"] == "not_a_model_file"
    assert team.download(model_id) == UNSAFE


def test_upload_of_trusted_file_under_scan_policy_is_refused(team: UnverifiedTeam) -> None:
    push_refused(team)
    assert team.owner.put(f"/trusted-files/{UNSAFE_HASH}", **REASON).status_code == 200
    team.verify()
    set_policy(team, "scan")
    assert push_same_content(team, UNSAFE, "ultralytics/two.pt")["error_code"] == "not_a_model_file"


def test_full_upload_of_trusted_file_follows_policy(team: UnverifiedTeam) -> None:
    model_id = push_refused(team)
    allow(team)
    set_policy(team, "scan")
    team.verify_all()
    assert team.state(model_id) == "failed"
    uploaded = [team.register(UNSAFE, "ultralytics/two.pt")]
    team.verify_all()
    set_policy(team, "trusted")
    uploaded.append(team.register(UNSAFE, "ultralytics/three.pt"))
    team.verify_all()
    assert [team.state(each) for each in uploaded] == ["failed", "verified"]


def test_register_clean_pickle_under_convert_policy_never_reaches_machines(unverified: UnverifiedTeam) -> None:
    set_policy(unverified, "convert")
    model_id = unverified.register(CLEAN, PATH)
    unverified.verify()
    model = unverified.model(model_id)
    assert (model["verification"], model["metadata"]["refusal"]["pickle_scan"]) == ("failed", "clean")
    assert unverified.owner.get(f"/models/{model_id}/download").json()["error_code"] == "model_damaged"


def test_register_kept_pickle_again_after_policy_changed_accepts_it(unverified: UnverifiedTeam) -> None:
    set_policy(unverified, "convert")
    model_id = unverified.register(CLEAN, PATH)
    unverified.verify()
    refusal = unverified.model(model_id)["verification_error"]
    # The record keeps these words when the policy changes.
    assert "the team kept pickle files only to convert them" in refusal
    set_policy(unverified, "scan")
    assert unverified.register(CLEAN, PATH) == model_id
    unverified.verify_all()
    assert unverified.state(model_id) == "verified"


def test_register_known_clean_pickle_under_convert_policy_is_refused(unverified: UnverifiedTeam) -> None:
    set_policy(unverified, "scan")
    model_id = unverified.register(CLEAN, "ultralytics/my face.pt")
    unverified.verify()
    set_policy(unverified, "convert")
    refused = push_same_content(unverified, CLEAN, "loras/two.pt")
    assert refused["error_code"] == "not_a_model_file"
    assert str(refused["detail"]).endswith("modelyard convert 'ultralytics/my face.pt'")
    assert unverified.owner.delete(f"/models/{model_id}").status_code == 204
    assert "MODEL" not in str(push_same_content(unverified, CLEAN, "loras/two.pt")["detail"])


def test_withdraw_trust_while_the_file_is_scanned_refuses_it(faulty: UnverifiedTeam) -> None:
    set_policy(faulty, "trusted")
    model_id = push_refused(faulty)
    allow(faulty)
    with verify_one_meanwhile(faulty):
        assert faulty.owner.delete(f"/trusted-files/{UNSAFE_HASH}").status_code == 204
    assert faulty.state(model_id) == "pending"
    faulty.verify_all()
    assert faulty.state(model_id) == "failed"


@pytest.mark.parametrize("policy", ["scan", "convert", "block"])
def test_change_policy_while_a_trusted_file_is_scanned_refuses_it(faulty: UnverifiedTeam, policy: str) -> None:
    set_policy(faulty, "trusted")
    model_id = push_refused(faulty)
    allow(faulty)
    with verify_one_meanwhile(faulty):
        set_policy(faulty, policy)
    faulty.verify_all()
    assert faulty.state(model_id) == "failed"


def test_set_convert_policy_while_a_clean_file_is_scanned_keeps_it_from_machines(faulty: UnverifiedTeam) -> None:
    set_policy(faulty, "scan")
    model_id = faulty.register(CLEAN, PATH)
    with verify_one_meanwhile(faulty):
        set_policy(faulty, "convert")
    faulty.verify_all()
    assert faulty.state(model_id) == "failed"


def test_allow_file_while_another_upload_of_it_is_scanned_accepts_both(faulty: UnverifiedTeam) -> None:
    set_policy(faulty, "trusted")
    models = [push_refused(faulty), faulty.register(UNSAFE, "ultralytics/two.pt")]
    with verify_one_meanwhile(faulty):
        allow(faulty)
    faulty.verify_all()
    assert [faulty.state(model_id) for model_id in models] == ["verified", "verified"]


def test_change_policy_while_another_format_is_read_does_not_read_it_again(faulty: UnverifiedTeam) -> None:
    set_policy(faulty, "scan")
    model_id = faulty.register()
    with verify_one_meanwhile(faulty):
        set_policy(faulty, "convert")
    assert faulty.state(model_id) == "verified"
