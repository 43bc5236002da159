"""Several verifiers, stalling stores and dead processes: every blob is verified, and recorded once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.fairness.accounts import Account
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.digest import RANGE_BYTES
from modelyard.server.verification import blob_leases
from modelyard.server.verification.blob_leases import (
    LONGEST_PAUSE,
    lease_next_blob,
    list_waiting_accounts,
    release_lease,
    renew_lease,
)
from modelyard.server.verification.examine import Examination
from modelyard.server.verification.record_result import record_result
from modelyard.server.verification.worker import Verifier
from tests.server.harness import make_model_file
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.unverified_team import UnverifiedTeam
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

RESULTS = ("verified", "failed")
WRONG = Examination(None, "A test says so.")


@contextmanager
def run_verifier(verifier: Verifier, threads: int = 1) -> Iterator[None]:
    """Run threads that verify until nothing waits; the end of the block waits for them."""
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(lambda: list(iter(verifier.verify_next, False))) for _ in range(threads)]
        yield
    for future in futures:
        future.result()


def get_store(unverified: UnverifiedTeam) -> FaultyStore:
    assert isinstance(unverified.resources.store, FaultyStore)
    return unverified.resources.store


def count_results(unverified: UnverifiedTeam) -> float:
    """Return the number of blobs that the verifiers of this test have recorded."""
    counts = (
        unverified.metrics.registry.get_sample_value("modelyard_blobs_read_total", {"found": name}) for name in RESULTS
    )
    return sum(count or 0 for count in counts)


def test_verifiers_with_many_threads_record_each_blob_once(unverified: UnverifiedTeam) -> None:
    models = [unverified.register(make_model_file(f"ink {n}"), f"loras/{n}.safetensors") for n in range(12)]
    with run_verifier(unverified.verifier, 4), run_verifier(unverified.new_verifier(), 4):
        pass
    assert {unverified.state(model_id) for model_id in models} == {"verified"}
    assert count_results(unverified) == len(models)
    assert all(unverified.events(model_id) == ["model.verified", "model.registered"] for model_id in models)


def test_verify_object_of_several_ranges_succeeds(unverified: UnverifiedTeam) -> None:
    content = make_model_file("large", 2 * RANGE_BYTES + 12_345)
    model_id = unverified.register(content, "checkpoints/large.safetensors")
    unverified.verify()
    assert unverified.state(model_id) == "verified"


def test_record_result_with_lost_lease_returns_false(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register()
    lost_lease = lease_next_blob(unverified.resources.database, list_waiting_accounts(unverified.resources.database))
    assert lost_lease is not None
    unverified.lease(now() - timedelta(seconds=1))
    assert renew_lease(unverified.resources.database, lost_lease) is False
    assert record_result(unverified.resources.database, lost_lease, WRONG) is False
    release_lease(unverified.resources.database, lost_lease, is_blob_at_fault=True)
    assert unverified.verify() is True
    assert record_result(unverified.resources.database, lost_lease, WRONG) is False
    assert unverified.state(model_id) == "verified"


def test_verify_stalled_read_renews_its_lease(faulty: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to ``STALL_TIMEOUT``, also while no byte arrives."""
    store, model_id = get_store(faulty), faulty.register()
    store.stalling.add(str(faulty.owner.team_id))
    # A clock that only the test advances; a thread renews the lease four times in a real second.
    moments, life = [now()], timedelta(seconds=1)
    monkeypatch.setattr(blob_leases, "get_database_time", lambda _session: moments[-1])
    with run_verifier(faulty.new_verifier(life=life)):
        assert store.stalled.acquire(timeout=PATIENCE_SECONDS)
        for _ in range(4):
            moments.append(moments[-1] + life / 2)
            wait_until(lambda: faulty.blob(model_id).leased_until == moments[-1] + life)
            assert faulty.verify() is False
        store.release.set()
    assert faulty.state(model_id) == "verified"


def test_verify_during_store_outage_fails_no_blob(faulty: UnverifiedTeam) -> None:
    model_id, store = faulty.register(), get_store(faulty)
    store.is_unavailable = True
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            faulty.verify()
    assert faulty.state(model_id) == "pending"
    assert faulty.blob(model_id).tries == 0
    store.is_unavailable = False
    assert faulty.verify() is True
    assert faulty.state(model_id) == "verified"


def test_verify_store_fails_while_result_is_recorded_does_not_repeat_the_read(faulty: UnverifiedTeam) -> None:
    first = faulty.register(path="loras/one.safetensors")
    second = faulty.register(path="loras/two.safetensors")
    assert faulty.verify() is True
    verified = faulty.blob(first)
    # Asked once the second object is read: the team has the same content already.
    get_store(faulty).failing_once.add(verified.store_key)
    assert faulty.verify() is True
    assert faulty.state(second) == "verified"
    assert faulty.blob(second).id == verified.id
    assert get_store(faulty).failing_once == set()


def test_verify_with_missing_store_folder_fails_no_blob(faulty: UnverifiedTeam) -> None:
    model_id, objects = faulty.register(), faulty.resources.settings.data_dir / "objects"
    objects.rename(objects.with_name("elsewhere"))
    with pytest.raises(StoreUnavailable):
        faulty.verify()
    assert faulty.state(model_id) == "pending"
    objects.with_name("elsewhere").rename(objects)
    assert faulty.verify() is True
    assert faulty.state(model_id) == "verified"


def test_verify_unreadable_blob_is_postponed_with_growing_pauses_behind_others(
    faulty: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No pause ends during the test.
    monkeypatch.setattr(blob_leases, "FIRST_PAUSE", LONGEST_PAUSE / 4)
    store, model_id = get_store(faulty), faulty.register()
    store.failing.add(str(faulty.owner.team_id))
    pauses = []
    for _ in range(3):
        assert faulty.verify() is True
        pauses.append((faulty.blob(model_id).leased_until or now()) - now())
        assert faulty.verify() is False
        faulty.expire_pauses()
    assert pauses[0] < pauses[1] < pauses[2]

    other = faulty.registry.create_team()
    later = faulty.register(owner=other)
    assert faulty.verify() is True
    assert other.get(f"/models/{later}").json()["verification"] == "verified"
    assert faulty.state(model_id) == "pending"
    store.failing.clear()
    assert faulty.verify() is True
    assert faulty.state(model_id) == "verified"


def test_stopped_verifier_releases_its_lease(faulty: UnverifiedTeam) -> None:
    store = get_store(faulty)
    model_id = faulty.register(make_model_file("large", RANGE_BYTES), "loras/large.safetensors")
    store.stalling.add(str(faulty.owner.team_id))
    with run_verifier(faulty.verifier):
        assert store.stalled.acquire(timeout=PATIENCE_SECONDS)
        faulty.verifier.stop()
        store.release.set()
    blob = faulty.blob(model_id)
    assert (blob.verification, blob.lease, blob.tries) == ("pending", None, 0)
    assert faulty.new_verifier().verify_next() is True
    assert faulty.state(model_id) == "verified"


def test_verify_takes_the_oldest_blob_first(unverified: UnverifiedTeam) -> None:
    models = [unverified.register(make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(3)]
    for verified_count in range(3):
        assert unverified.verify() is True
        assert [unverified.state(model_id) for model_id in models] == ["verified"] * (verified_count + 1) + [
            "pending"
        ] * (2 - verified_count)


def test_lease_next_blob_of_waiting_account_leases_its_blob(unverified: UnverifiedTeam) -> None:
    account = Account(UUID(str(unverified.owner.user_id)), UUID(str(unverified.owner.team_id)))
    assert list_waiting_accounts(unverified.resources.database) == []
    unverified.register()
    assert list_waiting_accounts(unverified.resources.database) == [account]
    assert lease_next_blob(unverified.resources.database, []) is None
    leased = lease_next_blob(unverified.resources.database, list_waiting_accounts(unverified.resources.database))
    assert leased is not None
    release_lease(unverified.resources.database, leased, is_blob_at_fault=False)
