"""How much JSON the body of a route may have: computed from the type that the route validates it with."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from modelyard.wire.texts.strict_json import JsonLimits

_MAX_DEPTH = 32
# Clients of the hosted product, and newer clients, may send fields that the registry does not know.
_FACTOR, _SPARE = 2, 1_000
# Twice what a registration of 20,000 files needs. A batch of them would need still more, but has too few bytes.
_MAX_BRACKETS, _MAX_SEPARATORS = 90_000, 170_000
# Values without brackets, commas and colons.
_SCALARS = frozenset({str, int, float, bool, NoneType, UUID, datetime, AwareDatetime})


class JsonSize(NamedTuple):
    """How many brackets, and how many commas and colons, a JSON value has outside of strings."""

    brackets: int
    separators: int


def build_json_limits(body_type: Any) -> JsonLimits:
    """Build the limits of a body: twice the largest one that its type describes, and 1,000 more, but a fixed maximum.

    Raises:
        TypeError: see ``measure_largest``.
    """
    brackets, separators = measure_largest(body_type)
    return JsonLimits(
        depth=_MAX_DEPTH,
        brackets=min(_FACTOR * brackets + _SPARE, _MAX_BRACKETS),
        separators=min(_FACTOR * separators + _SPARE, _MAX_SEPARATORS),
    )


def measure_largest(value_type: Any, metadata: Sequence[Any] = ()) -> JsonSize:
    """Return the size of the largest JSON value of a type: with every field, and each list as long as it may be.

    ``metadata`` is that of an annotation around the type.

    Raises:
        TypeError: the type has no largest value, for instance a list without ``max_length``.
    """
    origin, arguments = get_origin(value_type), get_args(value_type)
    if origin is Literal or (isinstance(value_type, type) and value_type in _SCALARS):
        return JsonSize(0, 0)
    if origin is Annotated:
        return measure_largest(arguments[0], (*metadata, *arguments[1:]))
    if origin in (Union, UnionType):
        return _measure_alternatives([measure_largest(each) for each in arguments])
    if origin is list:
        return _measure_list(measure_largest(arguments[0]), _find_max_length(metadata))
    if isinstance(value_type, type) and issubclass(value_type, BaseModel):
        fields = value_type.model_fields.values()
        return _measure_object([measure_largest(field.annotation, field.metadata) for field in fields])
    raise TypeError(f"A body of {value_type} may have any size.")


def _measure_alternatives(sizes: Sequence[JsonSize]) -> JsonSize:
    """Return the size of the largest one of several values."""
    return JsonSize(max(size.brackets for size in sizes), max(size.separators for size in sizes))


def _measure_list(item: JsonSize, length: int) -> JsonSize:
    """Return the size of a list of so many items, with a comma between two of them."""
    return JsonSize(2 + length * item.brackets, max(0, length * (item.separators + 1) - 1))


def _measure_object(members: Sequence[JsonSize]) -> JsonSize:
    """Return the size of an object, with a colon in each member and a comma between two of them."""
    separators = sum(member.separators + 2 for member in members)
    return JsonSize(2 + sum(member.brackets for member in members), max(0, separators - 1))


def _find_max_length(metadata: Iterable[Any]) -> int:
    """Return the ``max_length`` in the metadata of an annotation.

    Raises:
        TypeError: there is none.
    """
    for each in metadata:
        constraints = each.metadata if isinstance(each, FieldInfo) else [each]
        for constraint in constraints:
            if (length := getattr(constraint, "max_length", None)) is not None:
                return int(length)
    raise TypeError("A list in a body needs max_length.")
