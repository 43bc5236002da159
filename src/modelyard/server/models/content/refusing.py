"""The one way in which a check says no."""

from typing import Any

from modelyard.wire.problems import NotAModelFile


def refusal(detail: str, found: str, **facts: Any) -> NotAModelFile:
    """The problem to raise: ``detail`` says what the file is and what to do, ``found`` names it in a word or two."""
    return NotAModelFile(detail, field="storage_key", found=found, **facts)
