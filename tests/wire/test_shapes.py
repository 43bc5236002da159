"""Shapes: what is refused, whoever sends it."""

from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.wire.models import ModelChange, NewModel
from modelyard.wire.shapes import EXAMPLE_HASH
from modelyard.wire.uploads import MultipartCompletion, PartsRequest, UploadRequest

NEW: dict[str, Any] = {
    "display_name": "SDXL Base 1.0",
    "model_type": "checkpoints",
    "storage_key": "models/019abc12-4567/019def34-5678",
    "file_size": 6_800_000_000,
    "file_hash": EXAMPLE_HASH,
    "model_path": "models/checkpoints/sdxl_base_1.0.safetensors",
}


def fields(shape: type[Any], body: dict[str, Any]) -> set[str]:
    """The fields that are refused."""
    try:
        shape.model_validate(body)
    except ValidationError as refused:
        return {str(error["loc"][0]) for error in refused.errors()}
    return set()


def test_the_sources_example_passes() -> None:
    assert fields(NewModel, NEW) == set()


@pytest.mark.parametrize("field", NEW)
def test_every_field_of_the_source_is_required_and_never_null(field: str) -> None:
    assert fields(NewModel, {name: value for name, value in NEW.items() if name != field}) == {field}
    assert fields(NewModel, NEW | {field: None}) == {field}


@pytest.mark.parametrize(
    ("field", "least", "most"), [("display_name", 1, 255), ("model_type", 1, 50), ("storage_key", 1, 512)]
)
def test_lengths_are_counted_in_characters(field: str, least: int, most: int) -> None:
    assert fields(NewModel, NEW | {field: "é" * least}) == set()
    assert fields(NewModel, NEW | {field: "模" * most}) == set()
    assert fields(NewModel, NEW | {field: "é" * (most + 1)}) == {field}
    assert fields(NewModel, NEW | {field: ""}) == {field}


@pytest.mark.parametrize(
    "digest",
    ["", "a" * 64, "sha256:", "sha256:" + "g" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 64, EXAMPLE_HASH + "\n"],
)
def test_a_hash_says_its_kind_and_has_64_digits(digest: str) -> None:
    assert fields(NewModel, NEW | {"file_hash": digest}) == {"file_hash"}


def test_a_hash_is_kept_in_small_letters() -> None:
    sent = "sha256:" + "AB" * 32
    assert NewModel.model_validate(NEW | {"file_hash": sent}).file_hash == "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tags", ["x"] * 65),
        ("tags", [""]),
        ("tags", ["x" * 65]),
        ("tags", ["a\nb"]),
        ("tags", "x"),
        ("required_labels", ["a b"]),
        ("required_labels", ["x" * 65]),
        ("required_labels", ["é"]),
        ("license", "x" * 201),
        ("description", "x" * 10_001),
        ("description", "a\x00b"),
        ("source_url", "javascript:alert(1)"),
        ("source_url", "ftp://x"),
        ("source_url", "https://a b"),
        ("source_url", "https://" + "x" * 2000),
    ],
)
def test_our_fields_have_their_limits_in_both_shapes(field: str, value: Any) -> None:
    assert fields(NewModel, NEW | {field: value}) == {field}
    assert fields(ModelChange, {field: value}) == {field}


def test_a_name_is_listed_once() -> None:
    assert NewModel.model_validate(NEW | {"tags": ["b", "a", "b"]}).tags == ["b", "a"]


def test_a_shape_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        NewModel.model_validate(NEW).display_name = "other"  # type: ignore[misc]  # what is refused here


def test_an_absent_field_of_a_change_is_not_a_null() -> None:
    assert ModelChange.model_validate({}).model_fields_set == set()
    assert ModelChange.model_validate({"tags": None}).model_fields_set == {"tags"}


@pytest.mark.parametrize("size", [0, -1, 2**63, 1.0, "1", True, None])
def test_a_size_is_a_positive_64_bit_integer(size: Any) -> None:
    body = {"file_name": "a", "file_size": size, "model_type": "loras", "model_path": "loras/a"}
    assert fields(UploadRequest, body) == {"file_size"}


def test_a_call_for_parts_has_at_most_a_thousand_and_a_completion_ten_thousand() -> None:
    named = {"storage_key": "k", "upload_id": "u"}
    assert fields(PartsRequest, named | {"part_numbers": list(range(1, 1001))}) == set()
    assert fields(PartsRequest, named | {"part_numbers": list(range(1, 1002))}) == {"part_numbers"}
    parts = [{"part_number": number, "etag": "x"} for number in range(1, 10_001)]
    assert fields(MultipartCompletion, named | {"part_list": parts}) == set()
    assert fields(MultipartCompletion, named | {"part_list": [*parts, parts[0]]}) == {"part_list"}


def test_a_completion_of_ten_thousand_parts_fits_into_a_body() -> None:
    parts = [{"part_number": number, "etag": '"' + "0" * 64 + '"'} for number in range(1, 10_001)]
    body = MultipartCompletion.model_validate({"storage_key": "k" * 90, "upload_id": "u" * 32, "part_list": parts})
    assert len(body.model_dump_json()) < 1024 * 1024
