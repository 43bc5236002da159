"""Lists with thousands of entries, of which the first invalid ones are reported."""

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES
from modelyard.wire.folders.names import MAX_FILES
from modelyard.wire.folders.schemas import NewFolderFile, NewFolderFiles
from modelyard.wire.long_lists import ENTRIES_AT_ONCE, MAX_INVALID_ENTRIES, LongList, at_most, validate_in_parts
from modelyard.wire.models import NewModel
from modelyard.wire.uploads import MAX_PARTS, MultipartCompletion
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES

VALID, INVALID = {"path": "a.json", "storage_key": "k"}, {"path": "", "storage_key": 5}


def build_files(count: int, *invalid: int) -> list[dict[str, Any]]:
    return [INVALID if index in invalid else VALID for index in range(count)]


def list_errors(schema: Any, value: Any) -> list[tuple[tuple[int | str, ...], str]]:
    """Return the place and the message of each error."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(schema).validate_python(value)
    return [(error["loc"], error["msg"]) for error in refused.value.errors()]


def test_validate_list_with_few_invalid_entries_reports_what_is_wrong_in_each() -> None:
    invalid = (0, 1, 700, MAX_FILES - 1)
    of_entry = list_errors(NewFolderFile, INVALID)
    expected = [((index, *place), message) for index in invalid for place, message in of_entry]
    assert len(of_entry) == 2
    assert list_errors(NewFolderFiles, build_files(MAX_FILES, *invalid)) == expected


def test_validate_list_with_many_invalid_entries_reports_the_first_of_them() -> None:
    errors = list_errors(NewFolderFiles, [VALID] + [INVALID] * (MAX_FILES - 1))
    assert {place[0] for place, _ in errors} == set(range(1, MAX_INVALID_ENTRIES + 1))
    assert len(errors) == 2 * MAX_INVALID_ENTRIES


def test_validate_list_with_invalid_entries_validates_none_twice() -> None:
    validated = list[int]()

    def check(entry: int) -> int:
        validated.append(entry)
        if entry % 100 == 99:
            raise ValueError
        return entry

    entries = list(range(100 * MAX_INVALID_ENTRIES))
    errors = list_errors(LongList[Annotated[int, AfterValidator(check)]], [*entries, *entries])
    assert [place for place, _ in errors] == [(100 * number + 99,) for number in range(MAX_INVALID_ENTRIES)]
    assert validated == entries


@pytest.mark.parametrize(
    "value", [[], {}, None, "a", build_files(MAX_FILES + 1)], ids=["empty", "object", "null", "text", "too long"]
)
def test_validate_value_that_is_no_list_of_an_allowed_length_reports_the_list(value: Any) -> None:
    assert [place for place, _ in list_errors(NewFolderFiles, value)] == [()]


def test_validate_list_of_valid_entries_returns_them() -> None:
    files = TypeAdapter(NewFolderFiles).validate_python(build_files(MAX_FILES))
    assert files == [NewFolderFile.model_validate(VALID)] * MAX_FILES


def test_validate_long_list_calls_the_validator_with_parts_of_it() -> None:
    parts = list[list[int]]()

    def validate(part: list[int]) -> list[int]:
        parts.append(part)
        return part

    entries = list(range(3 * ENTRIES_AT_ONCE + 1))
    assert validate_in_parts(entries, validate) == entries
    assert [len(part) for part in parts] == [ENTRIES_AT_ONCE] * 3 + [1]


def test_validate_list_that_is_too_long_validates_no_entry() -> None:
    validated = list[int]()
    entry = Annotated[int, AfterValidator(lambda value: validated.append(value) or value)]
    of_two = Annotated[LongList[entry], *at_most(2)]
    assert list_errors(of_two, [1, 2, 3]) == [((), "List should have at most 2 items after validation, not 3")]
    assert validated == []


@pytest.mark.parametrize(
    ("schema", "field", "limit"),
    [
        (Heartbeat, "model_list", MAX_HEARTBEAT_STATES),
        (Heartbeat, "use_list", MAX_HEARTBEAT_USES),
        (MultipartCompletion, "part_list", MAX_PARTS),
        (NewModel, "file_list", MAX_FILES),
    ],
    ids=["model_list", "use_list", "part_list", "file_list"],
)
def test_list_of_a_request_that_is_too_long_is_refused_before_its_entries(
    schema: type[BaseModel], field: str, limit: int
) -> None:
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({field: [{}] * (limit + 1)})
    of_list = [(error["loc"], error["type"]) for error in refused.value.errors() if error["loc"][0] == field]
    assert of_list == [((field,), "too_long")]
