"""How a file is cut into parts; pure."""

from typing import NamedTuple


class Part(NamedTuple):
    """Bytes ``offset`` to ``offset + size`` of a file; parts are numbered from 1, as stores do."""

    number: int
    offset: int
    size: int


def cut(size: int, part_size: int) -> list[Part]:
    """The parts of a file of ``size`` bytes: all of ``part_size`` but the last, which has what is left.

    An empty file has no parts.
    """
    if size < 0 or part_size <= 0:
        raise ValueError("A file has at least 0 bytes and a part at least 1.")
    return [
        Part(number, offset, min(part_size, size - offset))
        for number, offset in enumerate(range(0, size, part_size), start=1)
    ]
