"""Sizes as people write them."""

import re

_SIZE = re.compile(r"(?i)\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?)b?\s*")


def size_of(words: str) -> int:
    """The bytes in ``500 GB``, ``2TiB`` or ``1000``.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(words)
    if match is None:
        raise ValueError(f"'{words}' is no size. Write it like 500GB, 2TiB or 1000.")
    number, unit, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** " kmgtp".index(unit.lower() or " ")
    return round(float(number) * factor)
