"""Parse sizes that people type, such as ``500 GB``."""

import re

_SIZE = re.compile(r"(?i)\s*([0-9]+(?:\.([0-9]+))?)\s*([kmgtp]?)(i?)b?\s*")


def parse_size(text: str) -> int:
    """Parse ``500 GB``, ``2TiB`` or ``1000`` and return bytes; ``GB`` and ``G`` are 1000³, ``GiB`` 1024³ bytes.

    Case does not matter; fractions such as ``1.5G`` and zero are allowed.

    Raises:
        ValueError: the text is not a size.
    """
    return parse_size_range(text)[0]


def parse_size_range(text: str) -> tuple[int, int]:
    """Parse a size and return the bytes that it means: from the first number up to, but without, the second.

    A size means its last digit, so ``2.1GB`` is less than 2.2 GB. See ``parse_size``.

    Raises:
        ValueError: the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a size. Write it like 500GB, 2TiB or 1000.")
    number, decimals, unit, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** " kmgtp".index(unit.lower() or " ")
    first = round(float(number) * factor)
    return first, first + max(1, round(factor / 10 ** len(decimals or "")))
