"""A plan carried out on a real disk, with bytes from a real server."""

import os
from pathlib import Path

from modelyard.client.sync.acting.standing import Standing
from tests.client.sync.making import model
from tests.client.sync.real import RealMachine, Store, sha256
from tests.transfer.misbehaving import flips_a_bit

INK = os.urandom(500_000)
WASH = os.urandom(500_000)


def states(standings: dict[str, Standing]) -> dict[str, str | None]:
    return {path: standing.state for path, standing in standings.items()}


def test_what_is_wanted_arrives_and_nothing_else(machine: RealMachine, store: Store) -> None:
    ink, wash = store.model("loras/ink.sft", INK), store.model("loras/deep/down/wash.sft", WASH)

    done = machine.sync(ink, wash)

    assert {path: standing.done for path, standing in done.items()} == {
        "loras/ink.sft": "fetched",
        "loras/deep/down/wash.sft": "fetched",
    }
    assert machine.visible() == {"loras/ink.sft": INK, "loras/deep/down/wash.sft": WASH}
    assert machine.left() == []
    assert {row.path.name: (row.origin, row.is_done) for row in machine.rows} == {
        "ink.sft": ("placed", True),
        "wash.sft": ("placed", True),
    }


def test_a_second_time_asks_for_nothing(machine: RealMachine, store: Store) -> None:
    ink = store.model("loras/ink.sft", INK)
    machine.sync(ink)
    store.asked.clear()

    done = machine.sync(ink)

    assert done["loras/ink.sft"].done == "kept"
    assert store.asked == []
    assert machine.plan(ink).is_done


def test_the_mode_follows_the_umask_and_the_time_is_that_of_the_content(machine: RealMachine, store: Store) -> None:
    ink = store.model("loras/ink.sft", INK)
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


def test_what_is_not_wanted_any_more_goes_to_the_trash_and_comes_back_without_a_download(
    machine: RealMachine, store: Store
) -> None:
    ink = store.model("loras/ink.sft", INK)
    machine.sync(ink)
    time = (machine.models / "loras/ink.sft").stat().st_mtime_ns
    store.asked.clear()

    gone = machine.sync()
    assert [(standing.state, standing.done) for standing in gone.values()] == [(None, "removed")]
    assert machine.visible() == {}
    assert machine.left() == [f"trash/{sha256(INK)}"]
    assert machine.rows == []
    back = machine.sync(ink)

    assert back["loras/ink.sft"].done == "from trash"
    assert machine.visible() == {"loras/ink.sft": INK}
    assert (machine.models / "loras/ink.sft").stat().st_mtime_ns == time
    assert store.asked == []
    assert machine.left() == []


def test_new_bytes_take_the_place_of_old_ones(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))

    done = machine.sync(store.model("loras/ink.sft", WASH))

    assert done["loras/ink.sft"].done == "fetched"
    assert machine.visible() == {"loras/ink.sft": WASH}
    assert machine.left() == [f"trash/{sha256(INK)}"]
    assert [row.sha256 for row in machine.rows] == [sha256(WASH)]


def test_a_users_file_is_adopted_and_never_changed(machine: RealMachine, store: Store) -> None:
    file = machine.put("loras/mine.sft", INK)
    file.chmod(0o640)
    before = file.stat()

    done = machine.sync(store.model("loras/ink.sft", INK))

    assert done["loras/ink.sft"].done in {"reflink", "hard link", "copy"}
    assert machine.visible() == {"loras/mine.sft": INK, "loras/ink.sft": INK}
    after = file.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_ino) == (before.st_mode, before.st_mtime_ns, before.st_ino)
    assert store.asked == []
    assert machine.left() == []

    machine.sync()

    assert machine.visible() == {"loras/mine.sft": INK}


def test_a_users_file_in_the_right_place_is_never_removed(machine: RealMachine, store: Store) -> None:
    machine.put("loras/ink.sft", INK)

    assert machine.sync(store.model("loras/ink.sft", INK))["loras/ink.sft"].done == "found"
    machine.sync()

    assert machine.visible() == {"loras/ink.sft": INK}
    assert store.asked == []


def test_a_users_other_file_is_a_conflict_with_both_hashes(machine: RealMachine, store: Store) -> None:
    machine.put("loras/ink.sft", WASH)

    conflict = machine.sync(store.model("loras/ink.sft", INK))["loras/ink.sft"]

    assert conflict.state == "conflict"
    assert conflict.reason is not None
    assert sha256(INK) in conflict.reason
    assert sha256(WASH) in conflict.reason
    assert machine.visible() == {"loras/ink.sft": WASH}


def test_the_same_bytes_under_two_names_are_fetched_once(machine: RealMachine, store: Store) -> None:
    done = machine.sync(store.model("loras/ink.sft", INK), store.model("loras/blot.sft", INK))

    assert set(states(done).values()) == {"ready"}
    assert machine.visible() == {"loras/ink.sft": INK, "loras/blot.sft": INK}
    assert len(set(store.asked)) == 1


def test_a_model_that_got_another_path_is_not_fetched_again(machine: RealMachine, store: Store) -> None:
    ink = store.model("loras/ink.sft", INK)
    machine.sync(ink)
    store.asked.clear()

    machine.sync(ink.model_copy(update={"model_path": "loras/blot.sft"}))

    assert machine.visible() == {"loras/blot.sft": INK}
    assert store.asked == []


def test_one_models_trouble_is_its_own(machine: RealMachine, store: Store) -> None:
    good, gone = store.model("loras/ink.sft", INK), store.model("loras/gone.sft", WASH)
    del store.server.objects[f"/{gone.id}"]

    done = machine.sync(good, gone)

    assert states(done) == {"loras/ink.sft": "ready", "loras/gone.sft": "failed"}
    assert done["loras/gone.sft"].reason
    assert machine.visible() == {"loras/ink.sft": INK}


def test_wrong_bytes_are_never_seen(machine: RealMachine, store: Store) -> None:
    store.server.always = flips_a_bit

    done = machine.sync(store.model("loras/ink.sft", INK))["loras/ink.sft"]

    assert done.state == "failed"
    assert "SHA-256" in (done.reason or "")
    assert machine.visible() == {}
    assert machine.left() == []


def test_a_kept_model_is_never_fetched(machine: RealMachine, store: Store) -> None:
    done = machine.sync(store.model("loras/ink.sft", INK, keep=True))

    assert done["loras/ink.sft"].state == "blocked"
    assert store.asked == []
    assert store.server.seen == []


def test_a_path_out_of_the_models_folder_is_refused(machine: RealMachine, store: Store, tmp_path: Path) -> None:
    evil = store.model("loras/ink.sft", INK).model_copy(update={"model_path": "loras/../../evil.sft"})

    done = machine.sync(evil, model("custom_nodes/evil.sft"))

    assert set(states(done).values()) == {"failed"}
    assert not (tmp_path / "evil.sft").exists()
    assert machine.visible() == {}
