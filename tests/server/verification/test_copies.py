"""A store whose keys can be overwritten: verified content is served from a copy that no client has a URL for."""

from datetime import timedelta

import pytest

from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.verification.blob_leases import LeasedBlob, lease_next_blob, list_waiting_accounts
from modelyard.server.verification.examine import Examination
from modelyard.server.verification.record_result import record_result
from tests.server.verification.unverified_team import CONTENT, OTHER, UnverifiedTeam

pytestmark = pytest.mark.slow

INTACT = Examination(None, None)


def collect(unverified: UnverifiedTeam, grace: timedelta = timedelta(0)) -> None:
    resources = unverified.resources
    assert collect_garbage(resources.database, resources.store, resources.settings, RunOptions(grace)).failures == 0


def list_purposes(unverified: UnverifiedTeam) -> set[str]:
    """Return the first segments of the team's keys in the store, each of which must occur once."""
    purposes = [stored.key.split("/") for stored in unverified.resources.store.list_keys("")]
    listed = [purpose for purpose, team, _ in purposes if team == unverified.owner.team_id]
    assert len(listed) == len(set(listed))
    return set(listed)


def copy_without_recording(unverified: UnverifiedTeam) -> LeasedBlob:
    """Lease and copy a blob without recording a result, like a worker that is killed then."""
    leased = lease_next_blob(unverified.resources.database, list_waiting_accounts(unverified.resources.database))
    assert leased is not None
    unverified.verifier._copy_if_needed(leased)
    assert leased.copied_to is not None
    return leased


def test_verify_in_overwritable_store_serves_a_copy_under_another_key(overwritable: UnverifiedTeam) -> None:
    model_id = overwritable.register()
    overwritable.verify()
    assert overwritable.blob(model_id).store_key.startswith(f"verified/{overwritable.owner.team_id}/")
    assert overwritable.download(model_id) == CONTENT
    collect(overwritable)
    assert list_purposes(overwritable) == {"verified"}
    assert overwritable.download(model_id) == CONTENT


def test_object_written_to_presigned_key_after_verification_is_not_served_and_removed(
    overwritable: UnverifiedTeam,
) -> None:
    key = overwritable.send(CONTENT)
    model_id = overwritable.register(CONTENT, storage_key=key)
    overwritable.verify()
    collect(overwritable)
    # Such a store accepts the same URL again.
    overwritable.resources.store.copy(overwritable.blob(model_id).store_key, key)
    assert overwritable.download(model_id) == CONTENT
    collect(overwritable)
    assert list_purposes(overwritable) == {"verified"}


def test_verify_wrong_hash_in_overwritable_store_fails_and_no_copy_is_left_after_collection(
    overwritable: UnverifiedTeam,
) -> None:
    model_id = overwritable.register_wrong_hash()
    overwritable.verify()
    assert overwritable.state(model_id) == "failed"
    assert overwritable.owner.get(f"/models/{model_id}/download").status_code == 409
    overwritable.expire_leases()
    collect(overwritable)
    assert list_purposes(overwritable) == {"models"}


def test_garbage_collection_keeps_a_copy_until_its_lease_expires(overwritable: UnverifiedTeam) -> None:
    overwritable.register()
    leased = copy_without_recording(overwritable)
    collect(overwritable)
    assert list_purposes(overwritable) == {"models", "verified"}
    overwritable.expire_leases()
    assert leased.copied_to is not None
    collect(overwritable)
    assert list_purposes(overwritable) == {"models"}


def test_verify_after_a_worker_died_between_copy_and_result_succeeds(overwritable: UnverifiedTeam) -> None:
    model_id = overwritable.register()
    copy_without_recording(overwritable)
    overwritable.expire_leases()
    overwritable.verify()
    assert overwritable.state(model_id) == "verified"
    collect(overwritable)
    assert list_purposes(overwritable) == {"verified"}
    assert overwritable.download(model_id) == CONTENT


def test_record_result_for_a_copy_that_was_collected_returns_false(overwritable: UnverifiedTeam) -> None:
    """The worker stalled for hours, but its lease is still its own, since no other worker ran."""
    model_id = overwritable.register()
    leased = copy_without_recording(overwritable)
    overwritable.expire_leases()
    collect(overwritable)
    assert record_result(overwritable.resources.database, leased, INTACT) is False
    assert overwritable.state(model_id) == "pending"


def test_copy_that_arrives_after_its_collection_is_discarded_again(overwritable: UnverifiedTeam) -> None:
    """Garbage collection removed the row before the store had completed the copy."""
    overwritable.register()
    leased = copy_without_recording(overwritable)
    overwritable.expire_leases()
    collect(overwritable)
    assert leased.copied_to is not None
    overwritable.resources.store.copy(leased.blob.store_key, leased.copied_to)
    overwritable.verifier._discard_copy(leased)
    collect(overwritable)
    assert list_purposes(overwritable) == {"models"}


def test_verify_with_unprobed_store_probes_it_or_copies(overwritable: UnverifiedTeam) -> None:
    overwritable.resources.capabilities.probed = None
    model_id = overwritable.register(OTHER)
    overwritable.verify()
    is_copied = overwritable.blob(model_id).store_key.startswith("verified/")
    assert is_copied == (overwritable.resources.capabilities.probed is None)
    assert overwritable.download(model_id) == OTHER
