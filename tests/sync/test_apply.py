"""Applying a plan on a real disk, with content from a real server."""

import asyncio
import os
from pathlib import Path
from uuid import UUID

from modelyard.sync.apply.apply_plan import apply_plan
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.wire.problems import VersionNotFound
from tests.sync.factories import build_entry
from tests.sync.real_machine import DEFAULT_OPTIONS, ModelStore, RealMachine, hash_bytes
from tests.transfer.faults import flip_bit

INK = os.urandom(500_000)
WASH = os.urandom(500_000)


def get_states(replica_states: dict[str, ReplicaState]) -> dict[str, str | None]:
    return {path: replica_state.state for path, replica_state in replica_states.items()}


def test_apply_desired_models_are_placed_and_nothing_else_changes(machine: RealMachine, store: ModelStore) -> None:
    ink, wash = store.add_model("loras/ink.sft", INK), store.add_model("loras/deep/down/wash.sft", WASH)
    own = machine.models / "loras/deep/own.sft"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"a user's file")
    before = own.stat()

    done = machine.sync(ink, wash)

    assert {path: replica_state.origin for path, replica_state in done.items()} == {
        "loras/ink.sft": "fetched",
        "loras/deep/down/wash.sft": "fetched",
    }
    assert machine.read_files() == {
        "loras/ink.sft": INK,
        "loras/deep/down/wash.sft": WASH,
        "loras/deep/own.sft": b"a user's file",
    }
    assert (own.stat().st_mtime_ns, own.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert machine.list_work_files() == []
    assert {row.path.name: (row.origin, row.is_confirmed) for row in machine.placements} == {
        "ink.sft": ("placed", True),
        "wash.sft": ("placed", True),
    }


def test_apply_second_run_downloads_nothing(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    machine.sync(ink)
    store.requested_ids.clear()

    done = machine.sync(ink)

    assert done["loras/ink.sft"].origin == "kept"
    assert store.requested_ids == []
    assert machine.plan(ink).is_empty


def test_apply_placed_file_has_umask_mode_and_content_mtime(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    machine.sync(ink)
    first = (machine.models / "loras/ink.sft").stat()
    machine.sync()
    (machine.models / ".modelyard").rename(machine.models / "gone")  # so that it has to come anew

    machine.sync(ink.model_copy(update={"updated_at": ink.updated_at.replace(year=2027)}))

    second = (machine.models / "loras/ink.sft").stat()
    umask = os.umask(0)
    os.umask(umask)
    assert second.st_mode & 0o777 == 0o666 & ~umask
    assert second.st_mtime_ns == first.st_mtime_ns


def test_apply_removed_model_is_restored_from_trash_without_download(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    machine.sync(ink)
    time = (machine.models / "loras/ink.sft").stat().st_mtime_ns
    store.requested_ids.clear()

    gone = machine.sync()
    assert [(replica_state.state, replica_state.origin) for replica_state in gone.values()] == [(None, "removed")]
    assert machine.read_files() == {}
    assert machine.list_work_files() == [f"trash/{hash_bytes(INK)}"]
    assert machine.placements == []
    back = machine.sync(ink)

    assert back["loras/ink.sft"].origin == "from trash"
    assert machine.read_files() == {"loras/ink.sft": INK}
    assert (machine.models / "loras/ink.sft").stat().st_mtime_ns == time
    assert store.requested_ids == []
    assert machine.list_work_files() == []


def test_apply_changed_content_replaces_placed_file(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))

    done = machine.sync(store.add_model("loras/ink.sft", WASH))

    assert done["loras/ink.sft"].origin == "fetched"
    assert machine.read_files() == {"loras/ink.sft": WASH}
    assert machine.list_work_files() == [f"trash/{hash_bytes(INK)}"]
    assert [row.sha256 for row in machine.placements] == [hash_bytes(WASH)]


def test_apply_versions_back_and_forth_are_taken_from_trash(machine: RealMachine, store: ModelStore) -> None:
    first = store.add_model("loras/ink.sft", INK, version=1)
    machine.sync(first)
    second = store.add_model("loras/ink.sft", WASH, version=2)
    assert machine.sync(second)["loras/ink.sft"].version == 2
    assert store.requested_versions == [1, 2]
    store.requested_versions.clear()

    for entry, content, trash in ((first, INK, WASH), (second, WASH, INK)):
        done = machine.sync(entry)
        assert (done["loras/ink.sft"].origin, done["loras/ink.sft"].version) == ("from trash", entry.version)
        assert machine.read_files() == {"loras/ink.sft": content}
        assert machine.list_work_files() == [f"trash/{hash_bytes(trash)}"]

    assert store.requested_versions == []


def test_apply_version_under_name_of_user_file_is_copied_locally(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK, version=1))
    machine.write_user_file("loras/trained.sft", WASH)

    done = machine.sync(store.add_model("loras/ink.sft", WASH, version=2))

    assert done["loras/ink.sft"].origin in {"reflink", "copy"}
    assert machine.read_files() == {"loras/ink.sft": WASH, "loras/trained.sft": WASH}
    assert store.requested_versions == [1]


def test_apply_version_that_registry_does_not_have_any_more_is_queued(machine: RealMachine, store: ModelStore) -> None:
    async def refuse(model_id: UUID, version: int) -> str:
        raise VersionNotFound(f"{model_id} has no version {version}.")

    plan = machine.plan(store.add_model("loras/ink.sft", INK))
    with machine.open_state() as opened:
        (state,) = asyncio.run(apply_plan(plan, opened, refuse, DEFAULT_OPTIONS))

    assert (state.state, state.version) == ("queued", 1)


def test_apply_user_file_with_same_content_is_copied_and_not_changed(machine: RealMachine, store: ModelStore) -> None:
    file = machine.write_user_file("loras/mine.sft", INK)
    file.chmod(0o640)
    before = file.stat()

    done = machine.sync(store.add_model("loras/ink.sft", INK))

    assert done["loras/ink.sft"].origin in {"reflink", "hard link", "copy"}
    assert machine.read_files() == {"loras/mine.sft": INK, "loras/ink.sft": INK}
    after = file.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_ino) == (before.st_mode, before.st_mtime_ns, before.st_ino)
    assert store.requested_ids == []
    assert machine.list_work_files() == []

    machine.sync()

    assert machine.read_files() == {"loras/mine.sft": INK}


def test_apply_user_file_in_place_is_never_removed(machine: RealMachine, store: ModelStore) -> None:
    machine.write_user_file("loras/ink.sft", INK)

    assert machine.sync(store.add_model("loras/ink.sft", INK))["loras/ink.sft"].origin == "found"
    machine.sync()

    assert machine.read_files() == {"loras/ink.sft": INK}
    assert store.requested_ids == []


def test_apply_user_file_with_other_content_is_conflict_with_both_hashes(
    machine: RealMachine, store: ModelStore
) -> None:
    machine.write_user_file("loras/ink.sft", WASH)

    conflict = machine.sync(store.add_model("loras/ink.sft", INK))["loras/ink.sft"]

    assert conflict.state == "conflict"
    assert conflict.reason is not None
    assert hash_bytes(INK) in conflict.reason
    assert hash_bytes(WASH) in conflict.reason
    assert machine.read_files() == {"loras/ink.sft": WASH}


def test_apply_same_content_under_two_names_is_downloaded_once(machine: RealMachine, store: ModelStore) -> None:
    done = machine.sync(store.add_model("loras/ink.sft", INK), store.add_model("loras/blot.sft", INK))

    assert set(get_states(done).values()) == {"ready"}
    assert machine.read_files() == {"loras/ink.sft": INK, "loras/blot.sft": INK}
    assert len(set(store.requested_ids)) == 1


def test_apply_model_with_new_path_is_not_downloaded_again(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    machine.sync(ink)
    store.requested_ids.clear()

    machine.sync(ink.model_copy(update={"model_path": "loras/blot.sft"}))

    assert machine.read_files() == {"loras/blot.sft": INK}
    assert store.requested_ids == []


def test_apply_failed_model_does_not_affect_others(machine: RealMachine, store: ModelStore) -> None:
    good, gone = store.add_model("loras/ink.sft", INK), store.add_model("loras/gone.sft", WASH)
    del store.server.objects[f"/{gone.id}"]

    done = machine.sync(good, gone)

    assert get_states(done) == {"loras/ink.sft": "ready", "loras/gone.sft": "failed"}
    assert done["loras/gone.sft"].reason
    assert machine.read_files() == {"loras/ink.sft": INK}


def test_apply_download_with_wrong_content_is_not_placed(machine: RealMachine, store: ModelStore) -> None:
    store.server.always = flip_bit

    done = machine.sync(store.add_model("loras/ink.sft", INK))["loras/ink.sft"]

    assert done.state == "failed"
    assert "SHA-256" in (done.reason or "")
    assert machine.read_files() == {}
    assert machine.list_work_files() == []


def test_apply_damaged_model_is_not_downloaded(machine: RealMachine, store: ModelStore) -> None:
    done = machine.sync(store.add_model("loras/ink.sft", INK, keep=True))

    assert done["loras/ink.sft"].state == "blocked"
    assert store.requested_ids == []
    assert store.server.seen == []


def test_apply_model_path_outside_models_folder_is_not_placed(
    machine: RealMachine, store: ModelStore, tmp_path: Path
) -> None:
    evil = store.add_model("loras/ink.sft", INK).model_copy(update={"model_path": "loras/../../evil.sft"})

    done = machine.sync(evil, build_entry("custom_nodes/evil.sft"))

    assert set(get_states(done).values()) == {"failed"}
    assert not (tmp_path / "evil.sft").exists()
    assert machine.read_files() == {}
