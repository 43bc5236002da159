"""Rounds of the importer: who takes an import over, what ends it, and how many run at once."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import ValidationError

from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.imports import import_leases
from modelyard.server.imports.import_leases import lease_next_import
from modelyard.server.imports.runs.failures import MAX_TRIES
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.imports.calls import start
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped

pytestmark = pytest.mark.slow


def test_import_next_after_stop_another_importer_continues(
    stopped: Stopped, fakes: FakeSources, link: str, large: bytes
) -> None:
    owner = stopped.owner
    import_id = start(owner, link)
    first = stopped.create_importer()
    fakes.storage.on_bytes = _call_after(PART + 1, first.stop)
    assert first.import_next() is True
    assert owner.get(f"/imports/{import_id}").json()["import_state"] == "queued"
    assert stopped.create_importer().import_next() is True
    done = owner.get(f"/imports/{import_id}").json()
    assert done["import_state"] == "done", done
    assert owner.get(f"/models/{done['model_id']}").json()["file_hash"] == hash_of(large)


def test_import_next_unexpected_errors_fail_after_twelve_tries(stopped: Stopped, fakes: FakeSources, link: str) -> None:
    owner, importer = stopped.owner, stopped.create_importer()
    import_id = start(owner, link)
    stopped.break_requests()
    for number in range(MAX_TRIES):
        assert owner.get(f"/imports/{import_id}").json()["import_state"] == "queued", number
        with pytest.raises(ValidationError):
            importer.import_next()
        stopped.expire_leases()
    failed = owner.get(f"/imports/{import_id}").json()
    assert (failed["import_state"], failed["error_code"]) == ("failed", "internal_error")


def _call_after(count: int, call: Callable[[], None]) -> Callable[[int], None]:
    """Return a function that calls another once it gets a number of bytes that is at least ``count``."""

    def on_bytes(sent: int) -> None:
        if sent >= count:
            call()

    return on_bytes


def test_import_next_user_was_removed_fails(stopped: Stopped, fakes: FakeSources, link: str) -> None:
    member = stopped.registry.create_member("member", stopped.owner)
    import_id = start(member, link)
    stopped.owner.delete(f"/members/{member.user_id}")
    assert stopped.create_importer().import_next() is True
    failed = stopped.owner.get(f"/imports/{import_id}").json()
    assert (failed["import_state"], failed["error_code"]) == ("failed", "not_a_member")
    assert "who started this, is not a member of the team now" in failed["error"]


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("roles", "is_own"),
    [
        pytest.param(("admin", "viewer"), False, id="an admin who is a viewer now"),
        pytest.param(("admin", "member"), False, id="an admin who may not change the model as a member"),
        pytest.param(("member", "viewer"), True, id="a member who is a viewer now"),
    ],
)
def test_import_next_user_is_demoted_during_download_changes_no_model(
    stopped: Stopped, fakes: FakeSources, link: str, roles: tuple[str, str], is_own: bool
) -> None:
    owner, person = stopped.owner, stopped.registry.create_member(roles[0], stopped.owner)
    content = make_model_file("first")
    model_id = (person if is_own else owner).register(content)
    import_id = start(person, link, replaces=model_id)
    demoted = list[int]()

    def demote() -> None:
        if not demoted:
            demoted.append(owner.put(f"/members/{person.user_id}", member_role=roles[1]).status_code)

    fakes.storage.on_bytes = _call_after(PART + 1, demote)
    assert stopped.create_importer().import_next() is True
    assert demoted == [200]
    failed = owner.get(f"/imports/{import_id}").json()
    assert (failed["import_state"], failed["error_code"], failed["model_id"]) == ("failed", "role_too_low", None)
    assert "started this, and does not have the permission for this" in failed["error"]
    versions = owner.get(f"/models/{model_id}/versions").json()["version_list"]
    assert [(each["version"], each["file_hash"]) for each in versions] == [(1, hash_of(content))]


def test_import_next_key_was_revoked_fails(stopped: Stopped, fakes: FakeSources, link: str) -> None:
    owner = stopped.owner
    key = stopped.registry.create_key("integration", stopped.owner)
    import_id = start(key, link)
    owner.delete(f"/credentials/{owner.get('/credentials').json()['credentials'][0]['id']}")
    assert stopped.create_importer().import_next() is True
    assert owner.get(f"/imports/{import_id}").json()["error_code"] == "unauthenticated"


def _find_key(stopped: Stopped, key: ApiCaller) -> CredentialRow:
    with stopped.resources.database.reading() as session:
        return session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one()


def test_import_next_key_has_expired_fails_before_the_download(stopped: Stopped, fakes: FakeSources, link: str) -> None:
    key = stopped.registry.create_key("integration", stopped.owner)
    import_id, key_id = start(key, link), _find_key(stopped, key).id
    with stopped.resources.database.writing() as session:
        session.get_one(CredentialRow, key_id).expires_at = now() - timedelta(seconds=1)
    assert stopped.create_importer().import_next() is True
    failed = stopped.owner.get(f"/imports/{import_id}").json()
    assert (failed["import_state"], failed["error_code"], fakes.storage.ranges) == ("failed", "unauthenticated", [])


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("is_rotated", "state"), [(True, "done"), (False, "failed")], ids=["key is rotated", "key is revoked"]
)
def test_import_next_key_changes_during_download_ends_by_whether_the_key_is_valid_then(
    stopped: Stopped, fakes: FakeSources, link: str, is_rotated: bool, state: str
) -> None:
    owner, key = stopped.owner, stopped.registry.create_key("integration", stopped.owner)
    import_id, address = start(key, link), f"/credentials/{_find_key(stopped, key).id}"
    changed = list[int]()

    def change() -> None:
        if not changed:
            answer = owner.post(f"{address}/rotate", grace_hours=0) if is_rotated else owner.delete(address)
            assert answer.is_success, answer.text
            changed.append(answer.status_code)

    fakes.storage.on_bytes = _call_after(PART + 1, change)
    assert stopped.create_importer().import_next() is True
    assert len(changed) == 1
    assert owner.get(f"/imports/{import_id}").json()["import_state"] == state


def test_import_next_source_that_never_answers_right_fails_after_its_tries(
    stopped: Stopped, fakes: FakeSources, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_leases, "FIRST_PAUSE", import_leases.LONGEST_PAUSE)
    owner = stopped.owner
    import_id = start(owner, link)
    fakes.huggingface.refusals = [(503, {})] * 20
    importer = stopped.create_importer()
    runs = 0
    while owner.get(f"/imports/{import_id}").json()["import_state"] == "queued":
        assert importer.import_next() is True
        assert importer.import_next() is False
        stopped.expire_leases()
        runs += 1
    assert runs == 12
    assert owner.get(f"/imports/{import_id}").json()["error_code"] == "source_unavailable"


def test_import_next_third_import_of_a_host_waits(stopped: Stopped, fakes: FakeSources, link: str) -> None:
    for number in range(3):
        start(stopped.owner, link, model_path=f"loras/{number}.safetensors")
    database = stopped.registry.resources.database
    leased = [lease_next_import(database) for _ in range(3)]
    assert [each is not None for each in leased] == [True, True, False]


@pytest.mark.parametrize("is_one_team", [False, True], ids=["a person in two teams", "two people of one team"])
def test_import_next_while_one_of_two_workers_imports_leaves_the_other_to_other_people_and_teams(
    stopped: Stopped, fakes: FakeSources, link: str, large: bytes, is_one_team: bool
) -> None:
    registry, owner = stopped.registry, stopped.owner
    second = registry.create_member("member", owner) if is_one_team else registry.create_team()
    other = registry.create_other_team()
    fakes.huggingface.files["small.safetensors"] = make_model_file("small")
    small = link.replace("ink.safetensors", "small.safetensors")
    first_id, second_id = start(owner, link), start(second, small)
    importer, has_begun, leased = stopped.create_importer(workers=2), list[bool](), list[bool]()

    def run_second_worker() -> None:
        """Run what the other worker of the process would run while the source holds the rest of the first file."""
        if not has_begun:
            has_begun.append(True)
            leased.append(importer.import_next())
            other_id = start(other, small)
            leased.append(importer.import_next())
            assert other.get(f"/imports/{other_id}").json()["import_state"] == "done"
            assert owner.get(f"/imports/{first_id}").json()["import_state"] == "running"
            leased.append(importer.import_next())

    fakes.storage.on_bytes = _call_after(1, run_second_worker)
    assert importer.import_next() is True
    assert leased == [False, True, False]
    assert owner.get(f"/imports/{first_id}").json()["import_state"] == "done"
    assert importer.import_next() is True
    assert second.get(f"/imports/{second_id}").json()["import_state"] == "done"


def test_import_next_while_two_people_occupy_two_of_three_workers_leaves_the_third_to_others(
    stopped: Stopped, fakes: FakeSources, link: str, large: bytes
) -> None:
    registry, importer, begun, leased = stopped.registry, stopped.create_importer(workers=3), list[int](), list[bool]()
    people, other = [stopped.owner, registry.create_team()], registry.create_other_team()
    for person in people:
        for number in range(2):
            start(person, link, model_path=f"loras/{number}.safetensors")

    def run_another_worker() -> None:
        """Run what the other workers would run while the sources hold the rest of the first two files."""
        begun.append(1)
        if len(begun) == 1:
            importer.import_next()
        if len(begun) == 2:
            leased.append(importer.import_next())
            start(other, link)
            leased.append(importer.import_next())

    fakes.storage.on_bytes = _call_after(1, run_another_worker)
    assert importer.import_next() is True
    assert leased == [False, True]
