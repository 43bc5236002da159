"""Lists with thousands of entries, of which the first invalid ones are reported: all errors would be megabytes."""

from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

# A batch may have a hundred such lists, so that even then a response has some thousand errors.
MAX_INVALID_ENTRIES = 20


def _validate(entries: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a list with ``validate``, which ends at the first invalid entry.

    It is called again with what comes after that entry, so that each entry is validated once at most.

    Raises:
        ValidationError: it is no list, or has invalid entries: the errors of the first ``MAX_INVALID_ENTRIES``.
    """
    if not isinstance(entries, list):
        return validate(entries)
    errors, start = list[InitErrorDetails](), 0
    for _ in range(MAX_INVALID_ENTRIES):
        try:
            validated = validate(entries[start:] if start else entries)
        except ValidationError as error:
            found = error.errors(include_url=False)
            errors += [_build_error(each, start) for each in found]
            start += 1 + int(found[0]["loc"][0])
        else:
            if not errors:
                return validated
            break
    raise ValidationError.from_exception_data("list", errors)


def _build_error(found: ErrorDetails, start: int) -> InitErrorDetails:
    """Return the error of an entry in a part of the list, with its place in the list; the part begins at ``start``."""
    index, *place = found["loc"]
    text = PydanticCustomError(found["type"], found["msg"])
    return InitErrorDetails(type=text, loc=(start + int(index), *place), input=found["input"])


Entry = TypeVar("Entry")
# A limit on its length goes around it.
LongList = Annotated[list[Entry], Field(fail_fast=True), WrapValidator(_validate)]
