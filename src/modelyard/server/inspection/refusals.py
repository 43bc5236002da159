"""The problem with which a validator refuses a file."""

from typing import Any

from modelyard.wire.problems import NotAModelFile


def build_refusal(detail: str, found: str, **facts: Any) -> NotAModelFile:
    """Build the problem of a refused file.

    ``detail`` says what the file is and what to do; ``found`` names it in a word or two. Both and ``facts`` are sent
    to the client; ``field`` is always ``storage_key``.
    """
    return NotAModelFile(detail, field="storage_key", found=found, **facts)
