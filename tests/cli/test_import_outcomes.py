"""What ``add`` and ``convert`` say of a model that is verified, refused, not verified yet, damaged, or missing."""

from typing import Any
from uuid import UUID

import pytest

from modelyard.cli.transfers.convert import describe_result, read_result
from modelyard.cli.transfers.imports import format_ended
from modelyard.client.imports import EndedImport
from modelyard.wire.imports.jobs import ModelImport
from modelyard.wire.models import Model
from modelyard.wire.pickles.conversions import Conversion

ID = UUID(int=7)
STARTED = Conversion(import_id=ID, model_id=None, model_path="a.safetensors", left_out_list=None, left_out_count=None)


def build_model(verification: str, error: str | None = None) -> Model:
    fields: dict[str, Any] = {"verification": verification, "verification_error": error}
    return Model.model_construct(**fields | {"id": ID, "model_path": "a.safetensors"})


def build_ended(model: Model | None) -> EndedImport:
    fields: dict[str, Any] = {"model_path": "a.safetensors", "model_id": ID, "error": None}
    if model is None:
        fields |= {"model_id": None, "error": "No space."}
    return EndedImport(ModelImport.model_construct(**fields), model)


OUTCOMES = {
    "verified": (build_model("verified"), f"imported, {ID}", f"Converted to models/a.safetensors, {ID}"),
    "refused": (
        build_model("failed", "It is no model."),
        "not imported. It is no model.",
        "Not converted. It is no model.",
    ),
    "not verified yet": (
        build_model("pending", "It is tried again."),
        f"imported, {ID}, but not verified yet. It is tried again.",
        f"Converted to models/a.safetensors, {ID}, but not verified yet. It is tried again.",
    ),
    "missing": (None, "not imported. No space.", "Not converted. No space."),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_ended_import_says_what_became_of_the_model(case: str) -> None:
    model, imported, converted = OUTCOMES[case]
    ended = build_ended(model)
    assert format_ended(ended) == f"models/a.safetensors: {imported}"
    assert describe_result(*read_result(ended), STARTED) == [converted]
    assert bool(ended.error) == (case != "verified")


def test_ended_import_that_relies_on_an_etag_says_so() -> None:
    ended = build_ended(build_model("verified"))
    record = ended.record.model_copy(update={"relies_on_etag": True})
    assert "only the ETag" in format_ended(EndedImport(record, ended.model))
    assert "ETag" not in format_ended(ended)


@pytest.mark.parametrize(
    ("model", "error", "line"),
    [
        (build_model("verified"), None, f"Converted to models/a.safetensors, {ID}"),
        (build_model("failed", "Damaged."), None, f"Converted to models/a.safetensors, {ID}"),
        (
            build_model("pending", "Again."),
            "Again.",
            f"Converted to models/a.safetensors, {ID}, but not verified yet. Again.",
        ),
    ],
    ids=["verified", "damaged since", "not verified yet"],
)
def test_model_that_was_converted_before_is_no_failed_conversion(model: Model, error: str | None, line: str) -> None:
    assert read_result(model) == (model, error)
    assert describe_result(model, error, STARTED) == [line]
