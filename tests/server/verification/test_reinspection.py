"""Files that an older release inspected are inspected once more, and nothing else about them changes."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server import revisions
from modelyard.server.database.base import now
from modelyard.server.inspection.inspector import build_uninspected_metadata
from modelyard.server.leases import JobLease
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.uploads.tables import INSPECTION, BlobRow
from modelyard.server.verification.metrics import VerificationMetrics
from modelyard.server.verification.reinspection import RETRY_PAUSE, Reinspector
from tests.server.inspection.builders import build_named_tensors
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.test_scrub import register_verified, replace_stored_object
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow

LORA = build_named_tensors(
    "lora_unet_x.lora_down.weight", "lora_te2_text_model_x.lora_down.weight",
    shape=(4, 4), metadata={"modelspec.trigger_phrase": "inkwsh"},
)  # fmt: skip
OLD = build_uninspected_metadata("x.safetensors") | {"trigger_words": ["1girl", "solo"], "architecture": "sdxl-lora"}


def build_reinspector(unverified: UnverifiedTeam) -> Reinspector:
    return Reinspector(unverified.resources.database, unverified.resources.store)


def make_old(unverified: UnverifiedTeam) -> None:
    """Store what the release before wrote: other metadata, and none of the columns that follow from it."""
    team_id = UUID(unverified.owner.team_id)
    with unverified.resources.database.writing(team_id) as session:
        session.execute(update(BlobRow).where(BlobRow.team_id == team_id).values(inspected_as=0))
        session.execute(update(ModelVersionRow).where(ModelVersionRow.team_id == team_id).values(facts=OLD))
        unknown = {"base_model": None, "base_source": None, "trigger_words": None}
        session.execute(update(ModelRow).where(ModelRow.team_id == team_id).values(facts=OLD, **unknown))


def register_old(unverified: UnverifiedTeam) -> str:
    model_id = register_verified(unverified, LORA)
    make_old(unverified)
    return model_id


def inspect_all(unverified: UnverifiedTeam) -> None:
    """Inspect all files that are due; the database may have some of other tests."""
    reinspector = build_reinspector(unverified)
    while reinspector.is_due():
        assert reinspector.inspect_next()
    assert reinspector.inspect_next() is False


def get_revision(unverified: UnverifiedTeam) -> int:
    with unverified.resources.database.reading() as session:
        return revisions.get_totals(session, UUID(unverified.owner.team_id)).revision


def get_record(unverified: UnverifiedTeam, model_id: str) -> dict[str, Any]:
    record: dict[str, Any] = unverified.owner.get(f"/models/{model_id}").json()
    return record


def test_metric_counts_files_that_wait(unverified: UnverifiedTeam) -> None:
    def count() -> float:
        families = VerificationMetrics(unverified.resources.database).collect()
        return next(each.samples[0].value for each in families if each.name == "modelyard_uninspected_files")

    inspect_all(unverified)
    register_old(unverified)
    assert count() == 1
    inspect_all(unverified)
    assert count() == 0


def test_new_file_is_not_due(unverified: UnverifiedTeam) -> None:
    inspect_all(unverified)
    register_verified(unverified, LORA)
    assert build_reinspector(unverified).is_due() is False


def test_old_record_is_readable_before_its_file_is_inspected_again(unverified: UnverifiedTeam) -> None:
    record = get_record(unverified, register_old(unverified))
    assert (record["base_model"], record["trigger_words"]) == (None, [])


def test_inspect_old_file_sets_what_it_is_and_nothing_else(unverified: UnverifiedTeam) -> None:
    expected = get_record(unverified, register_verified(unverified, LORA))
    make_old(unverified)
    inspect_all(unverified)
    assert get_record(unverified, expected["id"]) == expected
    assert (expected["base_model"], expected["trigger_words"][0]["text"]) == ("SDXL 1.0", "inkwsh")


def test_inspect_version_that_is_not_shown_leaves_the_etag(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, LORA)
    newer = build_named_tensors("lora_unet_x.lora_down.weight", shape=(8, 8))
    assert register_verified(unverified, newer, replaces=model_id) == model_id
    make_old(unverified)
    with unverified.resources.database.writing() as session:
        shown = session.get_one(ModelRow, UUID(model_id)).blob_id
        session.execute(update(BlobRow).where(BlobRow.id == shown).values(inspected_as=INSPECTION))
    etag = unverified.owner.get(f"/models/{model_id}").headers["ETag"]
    inspect_all(unverified)
    earlier = unverified.owner.get(f"/models/{model_id}/versions/1").json()
    assert earlier["metadata"]["base_model"] == "SDXL 1.0"
    assert unverified.owner.get(f"/models/{model_id}").headers["ETag"] == etag


def test_values_of_a_person_stay(unverified: UnverifiedTeam) -> None:
    model_id = register_old(unverified)
    unverified.owner.put(f"/models/{model_id}", base_model="Pony", trigger_words=["sumi"])
    inspect_all(unverified)
    record = get_record(unverified, model_id)
    assert (record["base_model"], record["trigger_words"]) == ("Pony", [{"text": "sumi", "source": "person"}])


def test_file_that_is_refused_now_keeps_its_metadata(unverified: UnverifiedTeam) -> None:
    model_id = register_old(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, b"<html>".ljust(len(LORA)))
    inspect_all(unverified)
    record = get_record(unverified, model_id)
    assert (record["verification"], record["metadata"]["architecture"]) == ("verified", "sdxl-lora")


def test_missing_file_is_tried_again_after_a_pause(unverified: UnverifiedTeam) -> None:
    model_id = register_old(unverified)
    unverified.resources.store.delete(unverified.blob(model_id).store_key)
    inspect_all(unverified)
    retry_at = unverified.blob(model_id).inspect_retry_at
    assert retry_at is not None
    assert retry_at > now() + RETRY_PAUSE / 2


def test_unavailable_store_postpones_nothing(faulty: UnverifiedTeam) -> None:
    model_id = register_old(faulty)
    store = faulty.resources.store
    assert isinstance(store, FaultyStore)
    store.is_unavailable = True
    with pytest.raises(StoreUnavailable):
        build_reinspector(faulty).inspect_next()
    assert faulty.blob(model_id).inspect_retry_at is None


def test_stopped_job_stores_nothing(unverified: UnverifiedTeam) -> None:
    model_id = register_old(unverified)
    stopped = build_reinspector(unverified)
    stopped.stop()
    with pytest.raises(ReadStopped):
        stopped.inspect_next()
    assert unverified.blob(model_id).inspected_as == 0


def test_files_of_one_team_share_one_revision(unverified: UnverifiedTeam) -> None:
    contents = [build_named_tensors(f"lora_unet_{number}.lora_down.weight") for number in range(3)]
    ids = [unverified.register(content, f"loras/{number}.safetensors") for number, content in enumerate(contents)]
    unverified.verify_all()
    make_old(unverified)
    before = get_revision(unverified)
    inspect_all(unverified)
    assert get_revision(unverified) == before + 1
    assert {unverified.blob(model_id).inspected_as for model_id in ids} == {INSPECTION}


def test_inspection_job_works_unless_another_process_has_the_lease(unverified: UnverifiedTeam) -> None:
    model_id = register_old(unverified)
    [job] = [job for job in build_jobs(unverified.resources, unverified.metrics) if job.name == "inspection"]
    other_process = JobLease(unverified.resources.database, "inspection")
    assert other_process.acquire()
    job.do()
    assert unverified.blob(model_id).inspected_as == 0
    other_process.release(is_done=False)
    job.do()
    assert unverified.blob(model_id).inspected_as == INSPECTION
