"""The sandbox program that validates headers of every format but pickles, which have ``pickle_scanner``.

It runs without site-packages, so everything that it imports needs the standard library only.
"""

from dataclasses import asdict

from modelyard.server.inspection.inspector import VALIDATORS
from modelyard.server.inspection.pickle_scanner import program
from modelyard.server.inspection.pickle_scanner.ranges import Ranges
from modelyard.wire.problems import NotAModelFile


class _RangesReader:
    """An adapter from ``Ranges`` to ``Reader``: returns fewer bytes at the end of the file."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self.size = ranges.size

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer at the end of the file."""
        return self._ranges.read(start, max(0, min(length, self.size - start)))


def main(arguments: list[str]) -> None:
    """Validate the file and print the verdict; ``arguments``: memory in bytes, seconds of processor time, format."""
    *limits, format_name = arguments
    program.main(limits, lambda ranges: _validate(ranges, format_name))


def _validate(ranges: Ranges, format_name: str) -> dict[str, object]:
    """Return the verdict: ``model`` with the metadata, or ``refusal`` with its detail and facts."""
    try:
        return {"model": asdict(VALIDATORS[format_name](_RangesReader(ranges)))}
    except NotAModelFile as refused:
        return {"refusal": {"detail": refused.detail, "facts": refused.facts}}
