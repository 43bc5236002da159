"""The base shape, the words every other shape is made of, and the answers that many routes share."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

# Control characters end lines in logs and headers, and PostgreSQL stores no NUL: names have none, notes may have
# tabs and line ends.
NAME_PATTERN = r"^[^\x00-\x1f\x7f]*$"
NOTE_PATTERN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
# Written out: what `\s` means differs between regular expressions, and the patterns are published for all of them.
INVISIBLE = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
# RFC 5321 allows 254 bytes. One "@", something on both sides, no spaces: whether it exists, only a mail can tell.
EMAIL_PATTERN = rf"^[^@{INVISIBLE}]+@[^@{INVISIBLE}]+$"
FILE_HASH_PATTERN = r"^sha256:[0-9a-fA-F]{64}$"
EXAMPLE_HASH = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLE_ID = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
EXAMPLE_TIME = "2026-11-24T12:00:00Z"

MAX_INT64 = 2**63 - 1

Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=NAME_PATTERN)]
LongName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=NAME_PATTERN)]
Note = Annotated[str, StringConstraints(strict=True, max_length=10_000, pattern=NOTE_PATTERN)]
FileHash = Annotated[str, StringConstraints(strict=True, pattern=FILE_HASH_PATTERN, to_lower=True)]
Bytes = Annotated[StrictInt, Field(ge=1, le=MAX_INT64)]


class Shape(BaseModel):
    """What every body is: frozen, with unknown fields ignored, since clients of the source API may send more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Created(Shape):
    """The id of what was made."""

    id: UUID = Field(description="The id of the new object (UUIDv7).", examples=[EXAMPLE_ID])


class Updated(Shape):
    """The id of what was changed."""

    id: UUID = Field(description="The id of the changed object.", examples=[EXAMPLE_ID])


class Done(Shape):
    """An action that succeeded."""

    is_success: bool = Field(default=True, description="Always true; a failure is a problem.", examples=[True])


class PageMeta(Shape):
    """Where this page stands among all pages."""

    current_page: int | None = Field(default=None, description="The page, from 1; null with a cursor.", examples=[1])
    per_page: int = Field(description="How many rows a page has.", examples=[20])
    total_count: int | None = Field(
        default=None, description="How many rows there are; null with a cursor.", examples=[42]
    )
    next_cursor: str | None = Field(
        default=None,
        description="With cursor paging: where the next page starts; null on the last one.",
        examples=["WyIyMDI2LTExLTI0Il0"],
    )


class FieldError(Shape):
    """One field that breaks its rule."""

    field: str = Field(description="The field, with dots into nested ones.", examples=["file_size"])
    message: str = Field(description="What is wrong with it.", examples=["Input should be a valid integer"])


class ProblemBody(BaseModel):
    """RFC 9457 problem details; a problem's own facts stand beside these members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A stable reference: `/problems/<slug>`.", examples=["/problems/model-not-found"])
    title: str = Field(description="The kind in words.", examples=["There is no such model"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened this time, and what to do.", examples=["There is no such model."])
    error_message: str = Field(description="The same text as `detail`.", examples=["There is no such model."])
    error_code: str = Field(description="The slug in snake_case.", examples=["model_not_found"])
    request_id: str | None = Field(default=None, description="Quote this to the operator.", examples=["a1b2c3d4e5f6"])
    errors: list[FieldError] | None = Field(
        default=None, description="All fields that break their rules (422).", examples=[[]]
    )
