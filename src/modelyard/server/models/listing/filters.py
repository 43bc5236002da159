"""What a caller may ask of a list, and each filter as a test of one model."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import InstrumentedAttribute

from modelyard.server.database.search import has_part, has_part_by_index, unindexed
from modelyard.server.models.tables import ModelRow, ModelTagRow
from modelyard.wire.models import ModelStatus, Verification
from modelyard.wire.paths import canonical_type
from modelyard.wire.shapes import FILE_HASH_PATTERN, NAME_PATTERN, Shape

Sort = Literal["created_at", "-created_at", "display_name", "-display_name", "file_size", "-file_size"]
SORTED_BY: dict[str, InstrumentedAttribute[Any]] = {
    "created_at": ModelRow.created_at,
    "display_name": ModelRow.display_name,
    "file_size": ModelRow.file_size,
}
Word = Annotated[str, Field(max_length=255, pattern=NAME_PATTERN)]


class ModelFilter(Shape):
    """Which models, in which order."""

    model_type: Word | None = Field(
        default=None, description="Only this type; aliases are the same.", examples=["checkpoints"]
    )
    model_status: ModelStatus | None = Field(
        default=None, description="Only active or disabled ones.", examples=["active"]
    )
    verification: Verification | None = Field(default=None, description="Only in this state.", examples=["verified"])
    tag: Word | None = Field(default=None, description="Only with this tag.", examples=["portrait"])
    file_hash: Annotated[str, Field(pattern=FILE_HASH_PATTERN)] | None = Field(
        default=None, description="Only these bytes: `sha256:` and the hex digest.", examples=["sha256:" + "0" * 64]
    )
    missing_on: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = Field(
        default=None, description="Only what this machine, or `any`, should have and has not.", examples=["any"]
    )
    deleted: bool = Field(default=False, description="The trash instead of the living.", examples=[False])
    q: Word | None = Field(
        default=None, description="Every word is a part of name, path or a tag.", examples=["sdxl base"]
    )
    sort: Sort = Field(default="-created_at", description="`-` for descending.", examples=["display_name"])

    @property
    def filters(self) -> int:
        """How many filters are asked for; with none, all living models are wanted."""
        others = (self.tag is not None, self.missing_on is not None, self.deleted, bool(self.words))
        return len(self.columns) + sum(others)

    @property
    def words(self) -> list[str]:
        """The words of the search, as they stand in ``ModelRow.searched``."""
        return list(dict.fromkeys((self.q or "").casefold().split()))

    @property
    def columns(self) -> dict[str, tuple[InstrumentedAttribute[str], str]]:
        """The filters that are a column and its value."""
        asked = {
            "model_type": (ModelRow.canonical_type, self.model_type and canonical_type(self.model_type)),
            "model_status": (ModelRow.model_status, self.model_status),
            "verification": (ModelRow.verification, self.verification),
            "file_hash": (ModelRow.file_hash, self.file_hash and self.file_hash.lower()),
        }
        return {name: (column, value) for name, (column, value) in asked.items() if value is not None}


def in_team(team_id: UUID, wanted: ModelFilter) -> ColumnElement[bool]:
    """The team's living models, or its trash: what each index of ours begins with."""
    deleted_at = ModelRow.deleted_at
    return and_(ModelRow.team_id == team_id, deleted_at.is_not(None) if wanted.deleted else deleted_at.is_(None))


def tests_of(
    wanted: ModelFilter, is_missing: ColumnElement[bool] | None, *, sees_indexes: bool
) -> dict[str, ColumnElement[bool]]:
    """Each filter by its name, as a condition on ``ModelRow``; without ``sees_indexes`` SQLite only tests it.

    ``is_missing`` is what ``missing_on`` asks for: who misses what has to be looked up.
    """
    tests: dict[str, ColumnElement[bool]] = {
        name: _seen(column, sees_indexes) == value for name, (column, value) in wanted.columns.items()
    }
    if is_missing is not None:
        tests["missing_on"] = is_missing
    if wanted.tag is not None:
        of_model = ModelTagRow.model_id == _seen(ModelRow.id, sees_indexes)
        tests["tag"] = select(ModelTagRow.tag).where(of_model, ModelTagRow.tag == wanted.tag).exists()
    if wanted.words:
        has_word = has_part_by_index if sees_indexes else has_part
        tests["q"] = and_(*(has_word(ModelRow.searched.expression, word) for word in wanted.words))
    return tests


def _seen(column: InstrumentedAttribute[Any], sees_indexes: bool) -> ColumnElement[Any]:
    return column.expression if sees_indexes else unindexed(column.expression)
