"""Files on which the inspection itself fails: they wait, with a reason, are tried again, and are never refused."""

import logging
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from modelyard.server.database.base import now
from modelyard.server.inspection import inspector
from modelyard.server.uploads.tables import INSPECTION, BlobRow
from modelyard.server.verification import examine, record_result, worker
from modelyard.server.verification.blob_leases import FIRST_PAUSE
from modelyard.server.verification.metrics import VerificationMetrics
from modelyard.server.verification.record_result import INSPECTION_FAILED
from modelyard.server.verification.reinspection import Reinspector
from modelyard.wire.problems import Unavailable
from tests.server.inspection import builders
from tests.server.verification.test_folders import register as register_folder
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow

# Its header is above what is inspected within a request.
LARGE = builders.safetensors(
    {"__metadata__": {"a": "x" * 2**20}, "w": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
)
OTHER = builders.safetensors(
    {"__metadata__": {"a": "y" * 2**20}, "w": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
)


def test_file_on_which_the_sandbox_fails_waits_with_a_reason_until_a_later_attempt(
    unverified: UnverifiedTeam, broken_sandbox: pytest.MonkeyPatch
) -> None:
    model_id = unverified.register(LARGE)
    assert unverified.verify() is True
    model = unverified.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("pending", INSPECTION_FAILED)
    refused = unverified.owner.get(f"/models/{model_id}/download").json()
    assert (refused["error_code"], refused["detail"]) == ("model_not_verified", INSPECTION_FAILED)
    broken_sandbox.undo()
    unverified.expire_pauses()
    unverified.verify()
    model = unverified.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("verified", None)
    assert unverified.events(model_id) == ["model.verified", "model.registered"]
    assert unverified.download(model_id) == LARGE


@pytest.mark.usefixtures("broken_sandbox")
def test_file_on_which_the_sandbox_fails_is_logged_with_its_standard_error(
    unverified: UnverifiedTeam, caplog: pytest.LogCaptureFixture
) -> None:
    model_id = unverified.register(LARGE)
    with caplog.at_level(logging.ERROR, "modelyard.sandbox"):
        unverified.verify()
    [record] = [one for one in caplog.records if one.name == "modelyard.sandbox"]
    facts = {name: getattr(record, name) for name in ("blob", "why", "output")}
    assert facts == {
        "blob": str(unverified.blob(model_id).id),
        "why": "The sandbox ended with code 1.",
        "output": "the inspector is broken\n",
    }


@pytest.mark.usefixtures("broken_sandbox")
def test_metrics_count_files_whose_inspection_failed(unverified: UnverifiedTeam) -> None:
    metrics = CollectorRegistry()
    metrics.register(VerificationMetrics(unverified.resources.database))
    before = metrics.get_sample_value("modelyard_inspection_failed_files") or 0
    unverified.register(LARGE)
    assert metrics.get_sample_value("modelyard_inspection_failed_files") == before
    unverified.verify()
    assert metrics.get_sample_value("modelyard_inspection_failed_files") == before + 1


def test_new_version_on_which_the_sandbox_fails_leaves_the_old_one_current(
    unverified: UnverifiedTeam, broken_sandbox: pytest.MonkeyPatch
) -> None:
    model_id = unverified.register()
    unverified.verify()
    unverified.register(LARGE, replaces=model_id)
    unverified.verify()
    model = unverified.model(model_id)
    assert (model["version"], model["verification"], model["verification_error"]) == (1, "verified", None)
    pending = {"version": 2, "verification": "pending", "verification_error": INSPECTION_FAILED}
    assert model["pending_version"] == pending


@pytest.mark.usefixtures("broken_sandbox")
def test_folder_with_a_file_on_which_the_sandbox_fails_names_it(unverified: UnverifiedTeam) -> None:
    files = {"model_index.json": b"{}", "unet/config.json": b"{}", "unet/diffusion_pytorch_model.safetensors": OTHER}
    model_id = register_folder(unverified, files)
    unverified.verify_all()
    model = unverified.model(model_id)
    reason = f"'unet/diffusion_pytorch_model.safetensors': {INSPECTION_FAILED}"
    assert (model["verification"], model["verification_error"]) == ("pending", reason)


def test_folder_whose_manifest_has_no_result_says_so(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = register_folder(unverified, {"model_index.json": b"{}"})
    monkeypatch.setattr(examine, "_load_content", fail)
    unverified.verify_all()
    model = unverified.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("pending", f"The manifest: {INSPECTION_FAILED}")


def test_unexpected_error_of_a_validator_is_logged_with_the_blob_and_the_file_waits_with_a_reason(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model_id = unverified.register()
    monkeypatch.setitem(inspector.VALIDATORS, "safetensors", fail)
    with caplog.at_level(logging.ERROR, "modelyard.verification"):
        assert unverified.verify() is True
    model = unverified.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("pending", INSPECTION_FAILED)
    [record] = [one for one in caplog.records if one.name == "modelyard.verification"]
    assert record.__dict__["blob"] == str(unverified.blob(model_id).id)
    assert "a defect" in caplog.text


def fail(*_arguments: object) -> None:
    raise KeyError("a defect")


def test_database_that_does_not_answer_is_no_failure_of_the_inspection(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise Unavailable("The database does not answer.")

    model_id = unverified.register()
    monkeypatch.setattr(worker, "get_model_paths", refuse)
    with pytest.raises(Unavailable):
        unverified.verify()
    assert unverified.model(model_id)["verification_error"] is None


@pytest.mark.usefixtures("broken_sandbox")
def test_pause_after_each_failed_inspection_is_twice_as_long_up_to_an_hour(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = now() + timedelta(days=1)
    monkeypatch.setattr(record_result, "get_database_time", lambda _session: moment)
    model_id = unverified.register(LARGE)
    pauses = []
    for _ in range(14):
        unverified.expire_pauses()
        unverified.verify_all()
        pauses.append((unverified.blob(model_id).leased_until or moment) - moment)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[10:] == [timedelta(seconds=2048), *3 * [timedelta(hours=1)]]


def test_stored_file_on_which_a_sandbox_fails_keeps_its_metadata_and_is_inspected_later(
    unverified: UnverifiedTeam, broken_sandbox: pytest.MonkeyPatch
) -> None:
    model_id = unverified.register()
    unverified.verify()
    blob_id, before = unverified.blob(model_id).id, unverified.model(model_id)["metadata"]
    with unverified.resources.database.writing() as session:
        session.get_one(BlobRow, blob_id).inspected_as = 0
    broken_sandbox.setitem(inspector.REQUEST_READ_BYTES, "safetensors", 8)
    reinspector = Reinspector(unverified.resources.database, unverified.resources.store)
    while reinspector.inspect_next():
        pass
    assert unverified.blob(model_id).inspect_retry_at is not None
    assert (unverified.model(model_id)["metadata"], unverified.state(model_id)) == (before, "verified")
    broken_sandbox.undo()
    with unverified.resources.database.writing() as session:
        session.get_one(BlobRow, blob_id).inspect_retry_at = None
    while reinspector.inspect_next():
        pass
    assert unverified.blob(model_id).inspected_as == INSPECTION
