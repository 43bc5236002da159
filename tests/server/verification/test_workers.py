"""Several workers, stores that stall, processes that die: every blob is read, and one reading says what it is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.digest import STRETCH
from modelyard.server.verification.finding import Finding
from modelyard.server.verification.leasing import LIFE, put_back, renew, take_next
from modelyard.server.verification.settling import settle
from modelyard.server.verification.worker import Verifier
from tests.server.verification.stores import ErringStore
from tests.server.verification.unread import Unread
from tests.server.world import a_model_file

NAMES = ("verified", "failed")
WRONG = Finding(None, "Somebody says so.")


@contextmanager
def working(verifier: Verifier, threads: int = 1) -> Iterator[None]:
    """Threads that verify until there is nothing left, which the end of the block waits for."""
    with ThreadPoolExecutor(threads) as pool:
        done = [pool.submit(lambda: list(iter(verifier.verify_next, False))) for _ in range(threads)]
        yield
    for one in done:
        one.result()


def store_of(unread: Unread) -> ErringStore:
    assert isinstance(unread.parts.store, ErringStore)
    return unread.parts.store


def settled(unread: Unread) -> float:
    found = (unread.metrics.registry.get_sample_value("modelyard_blobs_read_total", {"found": name}) for name in NAMES)
    return sum(count or 0 for count in found)


def test_many_workers_in_two_processes_settle_each_blob_once(unread: Unread) -> None:
    models = [unread.register(a_model_file(f"ink {n}"), f"loras/{n}.safetensors") for n in range(12)]
    with working(unread.verifier, 4), working(unread.new_verifier(), 4):
        pass
    assert {unread.state(model_id) for model_id in models} == {"verified"}
    assert settled(unread) == len(models)
    assert all(unread.events(model_id) == ["model.verified", "model.registered"] for model_id in models)


def test_a_large_file_is_verified_in_parallel_stretches(unread: Unread) -> None:
    content = a_model_file("large", 2 * STRETCH + 12_345)
    model_id = unread.register(content, "checkpoints/large.safetensors")
    unread.verify()
    assert unread.state(model_id) == "verified"


def test_a_worker_that_lost_its_lease_says_nothing(unread: Unread) -> None:
    model_id = unread.register()
    late = take_next(unread.parts.database, [], LIFE)
    assert late is not None
    unread.lease(now() - timedelta(seconds=1))
    assert renew(unread.parts.database, late, LIFE) is False
    assert settle(unread.parts.database, late, WRONG) is False
    put_back(unread.parts.database, late, is_its_fault=True)
    assert unread.verify() is True
    assert settle(unread.parts.database, late, WRONG) is False
    assert unread.state(model_id) == "verified"


def test_a_lease_that_is_kept_outlives_its_first_time(bad_days: Unread) -> None:
    """Also while not one byte comes, up to a limit."""
    store, model_id = store_of(bad_days), bad_days.register()
    store.stalling.add(str(bad_days.owner.team_id))
    verifier = bad_days.new_verifier(life=timedelta(seconds=1))
    with working(verifier):
        assert store.standing.acquire(timeout=10)
        first = bad_days.blob(model_id).leased_until
        assert first is not None
        while (bad_days.blob(model_id).leased_until or first) <= first + timedelta(seconds=2):
            assert bad_days.verify() is False
        store.let_go.set()
    assert bad_days.state(model_id) == "verified"


def test_an_outage_fails_nothing_and_is_over_when_it_is_over(bad_days: Unread) -> None:
    model_id, store = bad_days.register(), store_of(bad_days)
    store.is_away = True
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            bad_days.verify()
    assert bad_days.state(model_id) == "pending"
    assert bad_days.blob(model_id).tries == 0
    store.is_away = False
    assert bad_days.verify() is True
    assert bad_days.state(model_id) == "verified"


def test_a_store_that_is_missing_as_a_whole_has_lost_nothing(bad_days: Unread) -> None:
    model_id, objects = bad_days.register(), bad_days.parts.settings.data_dir / "objects"
    objects.rename(objects.with_name("elsewhere"))
    with pytest.raises(StoreUnavailable):
        bad_days.verify()
    assert bad_days.state(model_id) == "pending"
    objects.with_name("elsewhere").rename(objects)
    assert bad_days.verify() is True
    assert bad_days.state(model_id) == "verified"


def test_a_blob_that_the_store_alone_fails_for_waits_longer_each_time_behind_the_others(bad_days: Unread) -> None:
    store, model_id = store_of(bad_days), bad_days.register()
    store.failing.add(str(bad_days.owner.team_id))
    pauses = []
    for _ in range(3):
        assert bad_days.verify() is True
        pauses.append((bad_days.blob(model_id).leased_until or now()) - now())
        assert bad_days.verify() is False
        bad_days.end_pauses()
    assert pauses[0] < pauses[1] < pauses[2]

    other = bad_days.world.new_team()
    later = bad_days.register(owner=other)
    assert bad_days.verify() is True
    assert other.get(f"/models/{later}").json()["verification"] == "verified"
    assert bad_days.state(model_id) == "pending"
    store.failing.clear()
    assert bad_days.verify() is True
    assert bad_days.state(model_id) == "verified"


def test_a_team_whose_reads_stall_leaves_a_worker_for_the_others(bad_days: Unread) -> None:
    store, other = store_of(bad_days), bad_days.world.new_team()
    stalled = [bad_days.register(a_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(6)]
    store.stalling.add(str(bad_days.owner.team_id))
    verifier = bad_days.new_verifier(workers=3)
    with working(verifier, 2):
        assert all(store.standing.acquire(timeout=10) for _ in range(2))
        assert verifier.verify_next() is False, "The last worker took a third blob of one team."
        for number in range(3):
            model_id = bad_days.register(a_model_file(f"other {number}"), f"loras/{number}.safetensors", owner=other)
            assert verifier.verify_next() is True
            assert other.get(f"/models/{model_id}").json()["verification"] == "verified"
        store.let_go.set()
    assert {bad_days.state(model_id) for model_id in stalled} == {"verified"}


def test_a_worker_that_is_stopped_gives_back_what_it_reads(bad_days: Unread) -> None:
    store = store_of(bad_days)
    model_id = bad_days.register(a_model_file("large", STRETCH), "loras/large.safetensors")
    store.stalling.add(str(bad_days.owner.team_id))
    with working(bad_days.verifier):
        assert store.standing.acquire(timeout=10)
        bad_days.verifier.stop()
        store.let_go.set()
    blob = bad_days.blob(model_id)
    assert (blob.verification, blob.lease, blob.tries) == ("pending", None, 0)
    assert bad_days.new_verifier().verify_next() is True
    assert bad_days.state(model_id) == "verified"


def test_workers_take_the_oldest_first(unread: Unread) -> None:
    models = [unread.register(a_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(3)]
    for read in range(3):
        assert unread.verify() is True
        assert [unread.state(model_id) for model_id in models] == ["verified"] * (read + 1) + ["pending"] * (2 - read)


def test_lease_holders_of_one_team_do_not_count_for_another(unread: Unread) -> None:
    assert take_next(unread.parts.database, [UUID(str(unread.owner.team_id))], LIFE) is None
    unread.register()
    assert take_next(unread.parts.database, [UUID(str(unread.owner.team_id))], LIFE) is None
    held = take_next(unread.parts.database, [], LIFE)
    assert held is not None
    put_back(unread.parts.database, held, is_its_fault=False)
