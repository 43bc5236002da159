"""Lists of models: filters, search, sort, numbered pages and cursors."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, and_, false, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server import changes
from modelyard.server.models.tables import ModelRow, ModelTagRow
from modelyard.server.paging import Page, bad_cursor
from modelyard.server.teams.acting import Acting
from modelyard.wire.models import ModelStatus, Verification
from modelyard.wire.paths import canonical_type
from modelyard.wire.shapes import FILE_HASH_PATTERN, NAME_PATTERN, PageMeta, Shape

Sort = Literal["created_at", "-created_at", "display_name", "-display_name", "file_size", "-file_size"]
# A filtered list says how many there are up to here; beyond, a count would be a scan.
MOST_COUNTED = 10_000
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


@dataclass(frozen=True)
class Listed:
    """A page of rows, and where it stands."""

    models: list[ModelRow]
    meta: PageMeta


def list_models(session: Session, acting: Acting, wanted: ModelFilter, page: Page) -> Listed:
    """A page of the team's models.

    Raises:
        InvalidRequest: the cursor is none of ours.
    """
    conditions = _conditions(acting.team_id, wanted)
    column, descending = SORTED_BY[wanted.sort.lstrip("-")], wanted.sort.startswith("-")
    order = [column.desc(), ModelRow.id.desc()] if descending else [column.asc(), ModelRow.id.asc()]
    query = select(ModelRow).where(*conditions).order_by(*order)
    if page.cursor is None:
        rows = list(session.scalars(query.offset(page.offset).limit(page.per_page)))
        return Listed(rows, page.meta(_total(session, acting.team_id, wanted, conditions)))

    position = page.position
    if position is not None:
        query = query.where(_after(column, descending, _checked_position(wanted.sort, position)))
    rows = list(session.scalars(query.limit(page.per_page + 1)))
    more = len(rows) > page.per_page
    rows = rows[: page.per_page]
    return Listed(rows, page.cursor_meta(_position(rows[-1], wanted.sort) if more else None))


def _conditions(team_id: UUID, wanted: ModelFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        ModelRow.team_id == team_id,
        ModelRow.deleted_at.is_not(None) if wanted.deleted else ModelRow.deleted_at.is_(None),
    ]
    if wanted.model_type is not None:
        found.append(ModelRow.canonical_type == canonical_type(wanted.model_type))
    if wanted.model_status is not None:
        found.append(ModelRow.model_status == wanted.model_status)
    if wanted.verification is not None:
        found.append(ModelRow.verification == wanted.verification)
    if wanted.file_hash is not None:
        found.append(ModelRow.file_hash == wanted.file_hash.lower())
    if wanted.missing_on is not None:
        # No machine reports to this version, so none lacks anything.
        found.append(false())
    if wanted.tag is not None:
        tagged = select(ModelTagRow.model_id).where(ModelTagRow.team_id == team_id, ModelTagRow.tag == wanted.tag)
        found.append(ModelRow.id.in_(tagged))
    found += [ModelRow.searched.contains(word, autoescape=True) for word in (wanted.q or "").casefold().split()]
    return found


def _total(session: Session, team_id: UUID, wanted: ModelFilter, conditions: list[ColumnElement[bool]]) -> int:
    if wanted.model_fields_set <= {"sort"}:
        return changes.totals_of(session, team_id).living_models
    counted = select(ModelRow.id).where(*conditions).limit(MOST_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(counted)) or 0


def _position(row: ModelRow, sort: Sort) -> list[Any]:
    value = getattr(row, sort.lstrip("-"))
    return [sort, value.isoformat() if isinstance(value, datetime) else value, str(row.id)]


def _after(column: InstrumentedAttribute[Any], descending: bool, position: tuple[Any, UUID]) -> ColumnElement[bool]:
    value, row_id = position
    if descending:
        return and_(column <= value, or_(column < value, ModelRow.id < row_id))
    return and_(column >= value, or_(column > value, ModelRow.id > row_id))


def _checked_position(sort: Sort, position: list[Any]) -> tuple[Any, UUID]:
    """The cursor's value and id with their types; a cursor of another sort, or an invented one, is refused.

    Raises:
        InvalidRequest: it is one of these.
    """
    try:
        sort_then, value, row_id = position
        if sort.endswith("created_at"):
            value = datetime.fromisoformat(value)
            # Both ends are left out, since what is near them may have no time in another zone.
            is_right = value.tzinfo is not None and 1 < value.year < 9999
        elif sort.endswith("file_size"):
            is_right = type(value) is int and 0 <= value < 2**63
        else:
            is_right = isinstance(value, str) and "\x00" not in value and bool(value.encode())
        found = UUID(row_id)
    except (TypeError, ValueError, AttributeError):
        raise bad_cursor() from None
    if sort_then != sort or not is_right:
        raise bad_cursor()
    return value, found
