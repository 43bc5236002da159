"""The division of a file into upload parts. Pure; performs no I/O."""

from typing import NamedTuple


class Part(NamedTuple):
    """The bytes from ``offset`` to before ``offset + size`` of a file; numbered from 1 as in S3."""

    number: int
    offset: int
    size: int


def plan_parts(size: int, part_size: int) -> list[Part]:
    """Return the parts of a file of ``size`` bytes, each ``part_size`` long except the last.

    An empty file has no parts.

    Raises:
        ValueError: ``size`` is negative or ``part_size`` is not positive.
    """
    if size < 0 or part_size <= 0:
        raise ValueError("The size must be at least 0 and the part size at least 1.")
    return [
        Part(number, offset, min(part_size, size - offset))
        for number, offset in enumerate(range(0, size, part_size), start=1)
    ]
