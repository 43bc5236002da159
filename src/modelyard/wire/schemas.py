"""The base class of API schemas, shared field types, and responses that many routes use."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StringConstraints

from modelyard.wire import ValidatorDeferral
from modelyard.wire.long_lists import MAX_INVALID_ENTRIES
from modelyard.wire.paths import SOURCE_PATTERN
from modelyard.wire.texts.rules import (
    EMAIL_PATTERN,
    NAME_PATTERN,
    NOTE_PATTERN,
    check_email_address,
    check_is_readable,
    reject_invisible_characters,
)

FILE_HASH_PATTERN = r"^sha256:[0-9a-fA-F]{64}$"
EXAMPLE_HASH = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLE_ID = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
EXAMPLE_KEY = "models/0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10/0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11"
EXAMPLE_TIME = "2026-11-24T12:00:00Z"
EXAMPLE_REQUEST_ID = "a1b2c3d4e5f6"
EXAMPLE_ERRORS = [{"field": "file_size", "message": "Input should be a valid integer"}]
EXAMPLE_PAGE = {"current_page": 1, "per_page": 20, "total_count": 42, "next_cursor": None}

MAX_INT64 = 2**63 - 1
# People grant access by these names, so two different names must not look equal.
EmailAddress = Annotated[
    str,
    StringConstraints(strict=True, min_length=3, max_length=254, pattern=EMAIL_PATTERN),
    BeforeValidator(check_email_address),
]
Name = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100, pattern=NAME_PATTERN),
    BeforeValidator(check_is_readable),
    AfterValidator(reject_invisible_characters),
]
LongName = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=255, pattern=NAME_PATTERN),
    BeforeValidator(check_is_readable),
]
Note = Annotated[str, StringConstraints(strict=True, max_length=10_000, pattern=NOTE_PATTERN)]
FileHash = Annotated[str, StringConstraints(strict=True, pattern=FILE_HASH_PATTERN, to_lower=True)]
StorageKey = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=512)]
ModelType = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=50)]
ModelPathText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=1024),
    Field(json_schema_extra={"pattern": SOURCE_PATTERN}),
]
Bytes = Annotated[StrictInt, Field(ge=1, le=MAX_INT64)]


class Schema(BaseModel):
    """The base class of request and response bodies: immutable; unknown fields are ignored for source API clients."""

    # Responses always contain fields that have a default.
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        json_schema_serialization_defaults_required=True,
        defer_build=ValidatorDeferral.is_on,
    )


def _remove_defaults(schema: dict[str, Any]) -> None:
    """Remove the defaults of all properties from a JSON schema, in place."""
    for field in schema["properties"].values():
        field.pop("default", None)


class PartialUpdate(Schema):
    """The base class of bodies that change an object: absent fields are unchanged, so they have no defaults.

    Python needs a default for each optional field. It means nothing here and is not published: ``model_fields_set`` has
    the names of the fields that the request contains.
    """

    model_config = ConfigDict(json_schema_extra=_remove_defaults)


class Created(Schema):
    """The id of a created object."""

    id: UUID = Field(description="The id of the new object (UUIDv7).", examples=[EXAMPLE_ID])


class Updated(Schema):
    """The id of a changed object."""

    id: UUID = Field(description="The id of the changed object.", examples=[EXAMPLE_ID])


class Done(Schema):
    """The response of an action that succeeded."""

    is_success: Literal[True] = Field(default=True, description="Always true; a failure is a problem.", examples=[True])


class PageMeta(Schema):
    """The position of a page of results."""

    current_page: int | None = Field(default=None, description="The page, from 1; null with a cursor.", examples=[1])
    per_page: int = Field(description="Maximum number of rows per page.", examples=[20])
    total_count: int | None = Field(
        default=None, description="Total number of rows; null with a cursor.", examples=[42]
    )
    next_cursor: str | None = Field(
        default=None,
        description="With cursor paging: the cursor of the next page; null on the last page.",
        examples=["WyIyMDI2LTExLTI0Il0"],
    )


class FieldError(Schema):
    """An invalid field."""

    field: str = Field(description="The field; nested fields are joined with dots.", examples=["file_size"])
    message: str = Field(description="What is wrong with it.", examples=["Input should be a valid integer"])


class ProblemBody(BaseModel):
    """RFC 9457 problem details. Facts of the problem are additional members."""

    model_config = ConfigDict(extra="allow", defer_build=ValidatorDeferral.is_on)

    type: str = Field(description="A stable reference: `/problems/<slug>`.", examples=["/problems/model-not-found"])
    title: str = Field(description="The kind of problem in words.", examples=["There is no such model"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened this time, and what to do.", examples=["There is no such model."])
    error_message: str = Field(description="The same text as `detail`.", examples=["There is no such model."])
    error_code: str = Field(description="The slug in snake_case.", examples=["model_not_found"])
    request_id: str | None = Field(
        default=None, description="The request id; give it to the operator.", examples=[EXAMPLE_REQUEST_ID]
    )
    errors: list[FieldError] | None = Field(
        default=None,
        description="All invalid fields (422); of a list of thousands of files or parts, those of the first "
        f"{MAX_INVALID_ENTRIES} invalid entries.",
        examples=[EXAMPLE_ERRORS],
    )
