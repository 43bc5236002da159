"""Parse sizes that people type, such as ``500 GB``."""

import re

_SIZE = re.compile(r"(?i)\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?)b?\s*")


def parse_size(text: str) -> int:
    """Parse ``500 GB``, ``2TiB`` or ``1000`` and return bytes; ``GB`` and ``G`` are 1000³, ``GiB`` 1024³ bytes.

    Case does not matter; fractions such as ``1.5G`` and zero are allowed.

    Raises:
        ValueError: the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a size. Write it like 500GB, 2TiB or 1000.")
    number, unit, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** " kmgtp".index(unit.lower() or " ")
    return round(float(number) * factor)
