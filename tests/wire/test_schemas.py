"""Validation of API schemas."""

from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.wire.models import ModelUpdate, NewModel
from modelyard.wire.schemas import EXAMPLE_HASH
from modelyard.wire.uploads import MultipartCompletion, PartsRequest, UploadRequest

NEW: dict[str, Any] = {
    "display_name": "SDXL Base 1.0",
    "model_type": "checkpoints",
    "storage_key": "models/019abc12-4567/019def34-5678",
    "file_size": 6_800_000_000,
    "file_hash": EXAMPLE_HASH,
    "model_path": "models/checkpoints/sdxl_base_1.0.safetensors",
}


def find_invalid_fields(schema: type[Any], body: dict[str, Any]) -> set[str]:
    """Return the names of the invalid fields of ``body``."""
    try:
        schema.model_validate(body)
    except ValidationError as refused:
        return {str(error["loc"][0]) for error in refused.errors()}
    return set()


def test_new_model_example_of_source_api_is_valid() -> None:
    assert find_invalid_fields(NewModel, NEW) == set()


@pytest.mark.parametrize("field", NEW)
def test_new_model_source_api_field_missing_or_null_is_rejected(field: str) -> None:
    assert find_invalid_fields(NewModel, {name: value for name, value in NEW.items() if name != field}) == {field}
    assert find_invalid_fields(NewModel, NEW | {field: None}) == {field}


@pytest.mark.parametrize(
    ("field", "least", "most"), [("display_name", 1, 255), ("model_type", 1, 50), ("storage_key", 1, 512)]
)
def test_new_model_text_length_is_counted_in_characters(field: str, least: int, most: int) -> None:
    assert find_invalid_fields(NewModel, NEW | {field: "é" * least}) == set()
    assert find_invalid_fields(NewModel, NEW | {field: "模" * most}) == set()
    assert find_invalid_fields(NewModel, NEW | {field: "é" * (most + 1)}) == {field}
    assert find_invalid_fields(NewModel, NEW | {field: ""}) == {field}


@pytest.mark.parametrize(
    "digest",
    ["", "a" * 64, "sha256:", "sha256:" + "g" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 64, EXAMPLE_HASH + "\n"],
)
def test_new_model_malformed_file_hash_is_rejected(digest: str) -> None:
    assert find_invalid_fields(NewModel, NEW | {"file_hash": digest}) == {"file_hash"}


def test_new_model_file_hash_is_lower_cased() -> None:
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
def test_model_fields_beyond_limits_are_rejected_in_new_and_changed_models(field: str, value: Any) -> None:
    assert find_invalid_fields(NewModel, NEW | {field: value}) == {field}
    assert find_invalid_fields(ModelUpdate, {field: value}) == {field}


def test_new_model_duplicate_tags_are_removed() -> None:
    assert NewModel.model_validate(NEW | {"tags": ["b", "a", "b"]}).tags == ["b", "a"]


def test_schema_is_immutable() -> None:
    with pytest.raises(ValidationError):
        NewModel.model_validate(NEW).display_name = "other"  # type: ignore[misc]  # what is refused here


def test_model_change_distinguishes_absent_field_from_null() -> None:
    assert ModelUpdate.model_validate({}).model_fields_set == set()
    assert ModelUpdate.model_validate({"tags": None}).model_fields_set == {"tags"}


def test_model_update_tags_are_trimmed_and_each_has_one_spelling() -> None:
    assert ModelUpdate(tags=["b", " Own ", "own", "a,b", "B"]).tags == ["b", "Own", "a,b"]
    assert find_invalid_fields(ModelUpdate, {"tags": ["  "]}) == {"tags"}


@pytest.mark.parametrize("size", [0, -1, 2**63, 1.0, "1", True, None])
def test_new_model_file_size_not_positive_int64_is_rejected(size: Any) -> None:
    body = {"file_name": "a", "file_size": size, "model_type": "loras", "model_path": "loras/a"}
    assert find_invalid_fields(UploadRequest, body) == {"file_size"}


def test_multipart_requests_limit_the_number_of_parts() -> None:
    named = {"storage_key": "k", "upload_id": "u"}
    assert find_invalid_fields(PartsRequest, named | {"part_numbers": list(range(1, 1001))}) == set()
    assert find_invalid_fields(PartsRequest, named | {"part_numbers": list(range(1, 1002))}) == {"part_numbers"}
    parts = [{"part_number": number, "etag": "x"} for number in range(1, 10_001)]
    assert find_invalid_fields(MultipartCompletion, named | {"part_list": parts}) == set()
    assert find_invalid_fields(MultipartCompletion, named | {"part_list": [*parts, parts[0]]}) == {"part_list"}


def test_multipart_completion_with_10_000_parts_fits_body_limit() -> None:
    parts = [{"part_number": number, "etag": '"' + "0" * 64 + '"'} for number in range(1, 10_001)]
    body = MultipartCompletion.model_validate({"storage_key": "k" * 90, "upload_id": "u" * 32, "part_list": parts})
    assert len(body.model_dump_json()) < 1024 * 1024
