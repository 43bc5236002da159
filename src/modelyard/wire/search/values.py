"""Values of the qualifiers in searches that are numbers, dates or fixed words, and the check of a whole search."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar, cast, get_args

from modelyard.wire.agents.values import ModelState
from modelyard.wire.hashes.texts import HASH_PATTERN
from modelyard.wire.search.grammar import SearchToken, split_search
from modelyard.wire.search.sizes import parse_size_range

Property = Literal["missing", "damaged", "pending", "disabled", "unpreviewed"]
# Each value is compared with the text of every model that an index returns.
MAX_SEARCH_VALUES = 24
MAX_SEARCH_LENGTH = 1_000

_COMPARISON = re.compile(r"(>=|<=|>|<|=)?(.*)")
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?")
_AGE = re.compile(r"([0-9]{1,5})([dwy])?")
_DAYS = {"d": 1, "w": 7, "y": 365}
MAX_AGE_DAYS = 36_500
MAX_BYTES = 2**63 - 1

Value = TypeVar("Value", int, datetime)


class SizeRange(NamedTuple):
    """Bytes from ``first`` up to, but without, ``end``; None has no limit."""

    first: int | None
    end: int | None


class TimeRange(NamedTuple):
    """Times from ``first`` up to, but without, ``end``; None has no limit."""

    first: datetime | None
    end: datetime | None


def parse_size_condition(value: str) -> SizeRange:
    """Return the bytes that a value such as ``>2gb``, ``<=500MB``, ``2.1gb`` or ``1gb..2gb`` allows.

    Without a comparison, a size means all sizes that are written like it: ``2.1gb`` is from 2.1 GB up to, but without,
    2.2 GB.

    Raises:
        ValueError: it has no such form.
    """
    sign, first, last = _split_condition(value)
    (start, next_size), end = parse_size_range(first), parse_size_range(last)[0] + 1
    if first == last and sign == "=":
        end = next_size
    if start > MAX_BYTES or end > MAX_BYTES:
        raise ValueError(f"'{value}' is larger than any file.")
    return SizeRange(*_apply_sign(sign, start, end))


def parse_time_condition(value: str) -> TimeRange:
    """Return the times (UTC) that a value such as ``>2026-10-01``, ``2026-10`` or ``2025..2026-03`` allows.

    Raises:
        ValueError: it has no such form.
    """
    sign, first, last = _split_condition(value)
    (start, _), (_, end) = _parse_date(first), _parse_date(last)
    return TimeRange(*_apply_sign(sign, start, end))


def parse_age(value: str) -> timedelta:
    """Return the duration of a value in days, weeks or years, such as ``90d``, ``12w`` or ``1y``.

    A number without a unit is in days; a year has 365 days.

    Raises:
        ValueError: it has no such form, or is less than a day or more than ``MAX_AGE_DAYS``.
    """
    match = _AGE.fullmatch(value.lower())
    if match is None:
        raise ValueError(f"'{value}' is not a time. Write it like 90d, 12w or 1y.")
    days = int(match[1]) * _DAYS[match[2] or "d"]
    if not 1 <= days <= MAX_AGE_DAYS:
        raise ValueError(f"'{value}' is not between a day and 100 years.")
    return timedelta(days=days)


def _split_condition(value: str) -> tuple[str, str, str]:
    """Return the comparison of a value, or "=" without one, and its first and last operand; most have one operand."""
    first, dots, last = value.partition("..")
    if dots:
        return "=", first, last
    match = _COMPARISON.fullmatch(value)
    assert match is not None  # noqa: S101 - it matches every line
    return match[1] or "=", match[2], match[2]


def _apply_sign(sign: str, start: Value, end: Value) -> tuple[Value | None, Value | None]:
    """Return the range that is in relation ``sign`` to the range from ``start`` to ``end``."""
    return {">": (end, None), ">=": (start, None), "<": (None, start), "<=": (None, end), "=": (start, end)}[sign]


def _parse_date(text: str) -> tuple[datetime, datetime]:
    """Return the beginning of a year, month or day, and that of the next one; years from 1970 to 9998.

    Raises:
        ValueError: it is none of these.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a date. Write it like 2026-10-01, 2026-10 or 2026.")
    year, month, day = (int(part) if part else None for part in match.groups())
    try:
        start = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
    except ValueError:
        start = datetime.max.replace(tzinfo=UTC)
    if not 1970 <= start.year <= 9998:
        raise ValueError(f"There is no date '{text}'.")
    if day is not None:
        return start, start + timedelta(days=1)
    next_year = month in (None, 12)
    return start, datetime(start.year + next_year, 1 if next_year else start.month + 1, 1, tzinfo=UTC)


def check_search(text: str) -> str:
    """Return a search; raise ValueError if a value cannot be understood, or if there are too many."""
    tokens = split_search(text)
    if sum(len(token.values) for token in tokens) > MAX_SEARCH_VALUES:
        raise ValueError(f"A search has at most {MAX_SEARCH_VALUES} words and values")
    for token in tokens:
        for value in token.values:
            try:
                _check_value(token, value)
            except ValueError as error:
                raise ValueError(f"{token.key}: {error}") from None
    return text


def _check_value(token: SearchToken, value: str) -> None:
    """Check one value of a qualifier; of many qualifiers every value is allowed, and most match nothing.

    Raises:
        ValueError: it cannot be understood; says what can.
    """
    match token.key:
        case "size":
            parse_size_condition(value)
        case "added":
            parse_time_condition(value)
        case "unused":
            parse_age(value)
        case "is":
            parse_property(value)
        case "state":
            parse_state(value)
        case "hash" if re.fullmatch(HASH_PATTERN, value) is None:
            raise ValueError(f"'{value}' is not a hash. Write at least its first 8 digits.")


def parse_property(value: str) -> Property:
    """Return the property that a value of ``is:`` names.

    Raises:
        ValueError: there is none; lists all.
    """
    return cast("Property", _parse_name(value, get_args(Property)))


def parse_state(value: str) -> ModelState:
    """Return the replica state that a value of ``state:`` names.

    Raises:
        ValueError: there is none; lists all.
    """
    return cast("ModelState", _parse_name(value, get_args(ModelState)))


def _parse_name(value: str, names: tuple[str, ...]) -> str:
    """Return the name that a value is in any case; raise ValueError with all names if it is none."""
    if value.lower() not in names:
        raise ValueError(f"'{value}' is none of {', '.join(names)}.")
    return value.lower()
