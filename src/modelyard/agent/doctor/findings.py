"""The result of one check of ``modelyard agent doctor`` or ``modelyard agent selftest``."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What one check found, and how to fix it; empty if nothing is to be done, or if ``sentence`` says it."""

    level: Level
    subject: str
    sentence: str
    fix: str = ""
