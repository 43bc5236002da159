"""The values of a pickle, as far as the scanner must know them to check how they are used; none is ever built.

Texts, numbers, bytes and None represent themselves. A container is *frozen* once it was put into another value or
passed to a call, and cannot change any more, as in every pickle that a pickler writes. So no value contains itself,
and depth and weight are exact when a value is added to another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from .allowed import Dtype
from .ranges import Refused

Value: TypeAlias = object

MAX_DEPTH = 64
# Values are counted once for each place where they occur: a few nested lists must not expand to billions.
MAX_WEIGHT = 20_000_000
MAX_KEY_WEIGHT = 32
# Only hashes of texts cannot be made to collide by a file; numbers of 64 bits collide rarely.
MAX_UNCOMMON_KEYS = 1000
MAX_KEY = 2**63


@dataclass(frozen=True)
class Global:
    """An allowed ``module.name``."""

    name: str


@dataclass(frozen=True)
class Opaque:
    """A value of which only the kind matters."""

    kind: str


@dataclass(eq=False)
class Storage:
    """The raw data of tensors, stored outside the pickle under ``key``; ``count`` elements of ``dtype``."""

    key: str
    count: int
    dtype: Dtype
    viewed_as: Dtype | None = None

    def size(self) -> int:
        """Return the size in bytes."""
        return self.count * self.dtype.size

    def label(self) -> str:
        """Return the label of its dtype; for untyped bytes, the dtype of the first tensor over them."""
        return (self.viewed_as or self.dtype).label

    def elements(self) -> int:
        """Return the number of elements of the dtype that ``label`` names."""
        return self.size() // (self.viewed_as or self.dtype).size


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view that lies within its storage; ``size`` is the size of a copy in bytes.

    ``offset`` and ``stride`` are in elements. The values of a lazy one differ from its bytes: conjugated or negated.
    """

    dtype: Dtype
    shape: tuple[int, ...]
    size: int
    is_quantized: bool = False
    storage: Storage | None = None
    offset: int = 0
    stride: tuple[int, ...] = ()
    is_lazy: bool = False


@dataclass(eq=False, slots=True)
class Container:
    """A value that contains others, with nesting depth and weight, the number of values in it after expansion."""

    depth: int = 1
    weight: int = 1
    is_frozen: bool = False

    def add_values(self, values: Iterable[Value]) -> None:
        """Freeze the values and add their depth and weight to this container's; it does not store them.

        Raises:
            Refused: this container is frozen, or becomes too deep or too large.
        """
        for value in values:
            if isinstance(value, Container):
                value.is_frozen = True
                self.depth = max(self.depth, value.depth + 1)
                self.weight += value.weight
            else:
                self.weight += 1
        if self.is_frozen:
            raise Refused("changes a value after its use, or nests one in itself", "unusual pickle")
        if self.depth > MAX_DEPTH:
            raise Refused(f"nests values more than {MAX_DEPTH} deep", "oversized pickle")
        if self.weight > MAX_WEIGHT:
            raise Refused("expands to more values than this registry accepts", "oversized pickle")


@dataclass(eq=False, slots=True)
class Sequence(Container):
    """A ``list``, ``tuple``, ``set`` or ``Size``."""

    kind: str = "tuple"
    items: list[Value] = field(default_factory=list)

    def extend(self, items: list[Value]) -> None:
        """Append items; see ``add_values``."""
        self.add_values(items)
        self.items += items


@dataclass(eq=False, slots=True)
class Mapping(Container):
    """A ``dict``, ``OrderedDict`` or ``Counter``; a key that occurs twice has two entries."""

    kind: str = "dict"
    entries: list[tuple[Value, Value]] = field(default_factory=list)

    def update(self, entries: list[tuple[Value, Value]]) -> None:
        """Append entries; see ``add_values``."""
        self.add_values(part for entry in entries for part in entry)
        self.entries += entries


EMPTY_TUPLE = Sequence(is_frozen=True)


def build_sequence(kind: str, items: list[Value]) -> Sequence:
    """Return a sequence with these items; freezes those that are containers.

    Raises:
        Refused: it is too deep or too large.
    """
    container = Sequence(kind=kind)
    container.extend(items)
    return container


def build_mapping(kind: str, entries: list[tuple[Value, Value]]) -> Mapping:
    """Return a mapping with these entries; freezes keys and values that are containers.

    Raises:
        Refused: it is too deep or too large.
    """
    container = Mapping(kind=kind)
    container.update(entries)
    return container


def is_integer(value: Value, low: int = 0, high: int = MAX_KEY - 1) -> bool:
    """Return whether the value is an integer, not a boolean, from ``low`` to ``high`` (by default 0 to 2^63 - 1)."""
    return type(value) is int and low <= value <= high


def is_hashable(value: Value) -> bool:
    """Return whether the value may be a key: hashable, at a bounded cost."""
    if isinstance(value, Sequence):
        return value.kind == "tuple" and value.weight <= MAX_KEY_WEIGHT and all(map(is_hashable, value.items))
    if isinstance(value, int):
        return -MAX_KEY <= value < MAX_KEY
    return value is None or isinstance(value, str | float | bytes | Global | Tensor)


def has_safe_hash(value: Value) -> bool:
    """Return whether a file may have any number of such keys: texts and numbers."""
    return isinstance(value, str | int | float)


def copy_without_size(tensor: Tensor) -> Tensor:
    """Return the tensor with size 0, so that bytes which a parameter shares with its tensor are counted once."""
    return replace(tensor, size=0)
