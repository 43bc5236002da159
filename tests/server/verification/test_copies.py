"""A store that lets keys be written again: verified bytes are served from a copy that nobody can reach."""

from datetime import timedelta

from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Plan
from modelyard.server.verification.finding import Finding
from modelyard.server.verification.leasing import LIFE, Held, take_next
from modelyard.server.verification.settling import settle
from tests.server.verification.unread import CONTENT, OTHER, Unread

RIGHT = Finding(None, None)


def clean(unread: Unread, grace: timedelta = timedelta(0)) -> None:
    parts = unread.parts
    assert collect_garbage(parts.database, parts.store, parts.settings, Plan(grace)).failures == 0


def keys(unread: Unread) -> set[str]:
    """What the store holds of this team, by purpose, each once."""
    purposes = [stored.key.split("/") for stored in unread.parts.store.keys("")]
    found = [purpose for purpose, team, _ in purposes if team == unread.owner.team_id]
    assert len(found) == len(set(found))
    return set(found)


def leave_half_a_copy(unread: Unread) -> Held:
    """What a worker leaves that was killed between its copy and its word."""
    held = take_next(unread.parts.database, [], LIFE)
    assert held is not None
    unread.verifier._final_key(held)
    assert held.copied_to is not None
    return held


def test_verified_bytes_are_copied_away_from_the_key_that_was_presigned(suspicious: Unread) -> None:
    model_id = suspicious.register()
    suspicious.verify()
    assert suspicious.blob(model_id).store_key.startswith(f"verified/{suspicious.owner.team_id}/")
    assert suspicious.download(model_id) == CONTENT
    clean(suspicious)
    assert keys(suspicious) == {"verified"}
    assert suspicious.download(model_id) == CONTENT


def test_what_comes_to_the_presigned_key_afterwards_is_served_to_nobody_and_swept(suspicious: Unread) -> None:
    key = suspicious.send(CONTENT)
    model_id = suspicious.register(CONTENT, storage_key=key)
    suspicious.verify()
    clean(suspicious)
    # A store that is what this one was seen to be takes the same URL again.
    suspicious.parts.store.copy(suspicious.blob(model_id).store_key, key)
    assert suspicious.download(model_id) == CONTENT
    clean(suspicious)
    assert keys(suspicious) == {"verified"}


def test_a_lie_is_not_served_from_a_copy_either_and_leaves_none(suspicious: Unread) -> None:
    model_id = suspicious.register_lie()
    suspicious.verify()
    assert suspicious.state(model_id) == "failed"
    assert suspicious.owner.get(f"/models/{model_id}/download").status_code == 409
    suspicious.end_leases()
    clean(suspicious)
    assert keys(suspicious) == {"models"}


def test_a_copy_stays_while_its_worker_may_still_use_it(suspicious: Unread) -> None:
    suspicious.register()
    held = leave_half_a_copy(suspicious)
    clean(suspicious)
    assert keys(suspicious) == {"models", "verified"}
    suspicious.end_leases()
    assert held.copied_to is not None
    clean(suspicious)
    assert keys(suspicious) == {"models"}


def test_another_worker_takes_over_from_one_that_died_after_its_copy(suspicious: Unread) -> None:
    model_id = suspicious.register()
    leave_half_a_copy(suspicious)
    suspicious.end_leases()
    suspicious.verify()
    assert suspicious.state(model_id) == "verified"
    clean(suspicious)
    assert keys(suspicious) == {"verified"}
    assert suspicious.download(model_id) == CONTENT


def test_a_copy_that_the_clean_up_has_taken_is_never_served(suspicious: Unread) -> None:
    """A worker stood still for hours; nobody else was there, so that the lease is still its own."""
    model_id = suspicious.register()
    held = leave_half_a_copy(suspicious)
    suspicious.end_leases()
    clean(suspicious)
    assert settle(suspicious.parts.database, held, RIGHT) is False
    assert suspicious.state(model_id) == "pending"


def test_a_late_copy_is_noted_once_more(suspicious: Unread) -> None:
    """The clean-up removed the row, and then the bytes came."""
    suspicious.register()
    held = leave_half_a_copy(suspicious)
    suspicious.end_leases()
    clean(suspicious)
    assert held.copied_to is not None
    suspicious.parts.store.copy(held.blob.store_key, held.copied_to)
    suspicious.verifier._give_up_copy(held)
    clean(suspicious)
    assert keys(suspicious) == {"models"}


def test_a_store_that_was_not_tried_is_tried_or_is_not_trusted(suspicious: Unread) -> None:
    suspicious.parts.trust.honesty = None
    model_id = suspicious.register(OTHER)
    suspicious.verify()
    is_copied = suspicious.blob(model_id).store_key.startswith("verified/")
    assert is_copied == (suspicious.parts.trust.honesty is None)
    assert suspicious.download(model_id) == OTHER
