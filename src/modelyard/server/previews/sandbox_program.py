"""The sandbox program that reads pictures; its verdict has the encoded picture, or why it is refused."""

from collections.abc import Callable
from typing import Any

from modelyard.server.inspection.pickle_scanner import program
from modelyard.server.inspection.pickle_scanner.ranges import Ranges
from modelyard.server.previews.embedded import iterate_pictures
from modelyard.server.previews.encoding import PictureInvalid, encode_picture, render_png


def encode_embedded(header: bytes) -> dict[str, Any]:
    """Return the first picture in a header that can be decoded, or ``found`` False without any picture.

    Raises:
        PictureInvalid: none can be decoded; the reason of the first.
    """
    reason: PictureInvalid | None = None
    for picture in iterate_pictures(header):
        try:
            return encode_picture(picture)
        except PictureInvalid as invalid:
            reason = reason or invalid
    if reason is not None:
        raise reason
    return {"found": False}


TASKS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "encode": encode_picture,
    "embedded": encode_embedded,
    "png": render_png,
}


def main(arguments: list[str]) -> None:
    """Read the picture and print the verdict; ``arguments``: memory in bytes, seconds of processor time, task."""
    *limits, task = arguments
    program.main(limits, lambda ranges: _run(TASKS[task], ranges))


def _run(task: Callable[[bytes], dict[str, Any]], ranges: Ranges) -> dict[str, object]:
    """Return the result of the task, or ``invalid`` with a text that completes "The picture ..."."""
    try:
        return task(ranges.read(0, ranges.size))
    except PictureInvalid as invalid:
        return {"invalid": str(invalid)}
