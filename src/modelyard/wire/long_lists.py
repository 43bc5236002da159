"""Limits of lists in requests.

Of lists with thousands of entries, the first invalid ones are reported: all errors would be megabytes.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError

MAX_BATCH_ITEMS = 100
# A batch may have a hundred such lists, so that even then a response has some thousand errors.
MAX_INVALID_ENTRIES = 20
# While one part is validated, no other thread of the process can run.
ENTRIES_AT_ONCE = 500


def validate_in_parts(entries: Any, validate: Callable[[Any], list[Any]]) -> Any:
    """Validate a list with ``validate``, which ends at the first invalid entry, in parts of ``ENTRIES_AT_ONCE``.

    After an invalid entry it is called with what comes after that, so that each entry is validated once at most.

    Raises:
        ValidationError: it is no list, or has invalid entries: the errors of the first ``MAX_INVALID_ENTRIES``.
    """
    if not isinstance(entries, list):
        return validate(entries)
    validated, errors, start, invalid = list[Any](), list[InitErrorDetails](), 0, 0
    while start < len(entries) and invalid < MAX_INVALID_ENTRIES:
        part = entries[start : start + ENTRIES_AT_ONCE]
        try:
            validated += validate(part)
            start += len(part)
        except ValidationError as error:
            found = error.errors(include_url=False)
            errors += [_build_error(each, start) for each in found]
            start, invalid = start + 1 + int(found[0]["loc"][0]), invalid + 1
    if errors:
        raise ValidationError.from_exception_data("list", errors)
    return validated


def at_most(count: int) -> tuple[BeforeValidator, Any]:
    """Return the limit of a list's length, also for the schema, to unpack into ``Annotated`` around a ``LongList``.

    It is checked before the entries, unlike ``max_length`` alone.
    """

    def check(entries: Any) -> Any:
        """Return the value; raises ``PydanticKnownError`` if it is a list that is too long."""
        if isinstance(entries, list) and len(entries) > count:
            facts = {"field_type": "List", "max_length": count, "actual_length": len(entries)}
            raise PydanticKnownError("too_long", facts)
        return entries

    return BeforeValidator(check), Field(max_length=count)


def _build_error(found: ErrorDetails, start: int) -> InitErrorDetails:
    """Return the error of an entry in a part of the list, with its place in the list; the part begins at ``start``."""
    index, *place = found["loc"]
    text = PydanticCustomError(found["type"], found["msg"])
    return InitErrorDetails(type=text, loc=(start + int(index), *place), input=found["input"])


Entry = TypeVar("Entry")
# A limit on its length goes around it, see ``at_most``.
LongList = Annotated[list[Entry], Field(fail_fast=True), WrapValidator(validate_in_parts)]
