"""Decoding of untrusted pictures: a sandbox process for each, and a limit on how many run at once."""

import base64
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelyard.comfyui.model_files.readers import BytesReader
from modelyard.server.inspection.sandbox import (
    LimitExceeded,
    SandboxFailed,
    SandboxLimits,
    SandboxProgram,
    log_failure,
    never_stop,
    run_in_sandbox,
)
from modelyard.wire.hashes.texts import is_sha256
from modelyard.wire.problems import PictureRefused, Unavailable

LIMITS = SandboxLimits(memory=768 * 1024 * 1024, cpu_seconds=10, wall_seconds=60.0)
# More at once would not be faster on a small machine, and each may use all its memory.
SLOTS = 2
SLOT_SECONDS = 20.0
BUSY = "The registry is reading too many pictures at this moment. Try again."
_FREE_SLOTS = threading.BoundedSemaphore(SLOTS)
_COLOR = re.compile("#[0-9a-f]{6}")


@dataclass(frozen=True)
class Picture:
    """A picture as it is stored: two WebP files, the SHA-256 of the large one, and the average colour."""

    small: bytes
    large: bytes
    sha256: str
    color: str


class DecoderFailed(Unavailable):
    """The sandbox did not start, or failed, and may fail on the same picture again."""


def decode_picture(content: bytes, raise_if_stopped: Callable[[], None] = never_stop) -> Picture:
    """Decode a picture in a sandbox and return what is stored of it.

    Raises:
        PictureRefused: it is no picture, too large, damaged, or takes too long.
        Unavailable: no sandbox became free in time; ``DecoderFailed``: it did not start, or failed.
    """
    return _build_picture(_run("encode", content, raise_if_stopped))


def find_embedded_picture(
    header: bytes, raise_if_stopped: Callable[[], None] = never_stop, *, blob: str
) -> Picture | None:
    """Return the first picture in the header of a safetensors file that can be decoded; None without any.

    ``blob`` names the file in the log if the sandbox fails.

    Raises:
        PictureRefused: it has pictures, and none can be decoded.
        Unavailable: see ``decode_picture``.
    """
    verdict = _run("embedded", header, raise_if_stopped, blob=blob)
    return None if verdict.get("found") is False else _build_picture(verdict)


def _build_picture(verdict: dict[str, Any]) -> Picture:
    """Return the picture of an untrusted verdict; raises ``PictureRefused`` for a wrong one."""
    try:
        small, large = (base64.b64decode(verdict[name], validate=True) for name in ("small", "large"))
        picture = Picture(small, large, str(verdict["sha256"]), str(verdict["color"]))
    except (KeyError, TypeError, ValueError):
        raise build_picture_refused("cannot be read") from None
    if not small or not large or not _COLOR.fullmatch(picture.color) or not is_sha256(picture.sha256):
        raise build_picture_refused("cannot be read")
    return picture


def render_png(webp: bytes) -> bytes:
    """Return a stored picture as PNG; raises as ``decode_picture``."""
    verdict = _run("png", webp, never_stop)
    try:
        return base64.b64decode(verdict["png"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise build_picture_refused("cannot be read") from None


def build_picture_refused(why: str) -> PictureRefused:
    """Build the problem of a refused picture; ``why`` completes "The picture ..."."""
    return PictureRefused(f"The picture {why}. Send a JPEG, PNG, WebP, GIF or AVIF file.", field="picture")


def _run(task: str, content: bytes, raise_if_stopped: Callable[[], None], **facts: str) -> dict[str, Any]:
    """Run a task of ``sandbox_program`` on the bytes and return its verdict; raises as ``decode_picture``.

    ``facts`` name the file in the log if the sandbox fails.
    """
    if not _FREE_SLOTS.acquire(timeout=SLOT_SECONDS):
        raise Unavailable(BUSY, retry_after=5)
    try:
        verdict = run_in_sandbox(_build_program(task), BytesReader(content), LIMITS, raise_if_stopped)
    except LimitExceeded:
        raise build_picture_refused("takes too much time or memory to read") from None
    except SandboxFailed as failed:
        log_failure(failed, task=f"picture: {task}", **facts)
        raise DecoderFailed("The registry cannot read pictures at this moment. Try again.", retry_after=5) from None
    finally:
        _FREE_SLOTS.release()
    if "invalid" in verdict:
        raise build_picture_refused(str(verdict["invalid"])[:200])
    return verdict


@cache
def _build_program(task: str) -> SandboxProgram:
    """Return the program for a task; it imports this package and Pillow from where this process has them."""
    pillow = find_spec("PIL")
    assert pillow is not None  # noqa: S101 - a requirement of the server
    assert pillow.origin is not None  # noqa: S101 - it is a package of files
    return SandboxProgram(
        boot="import sys; sys.path += [sys.argv[1], sys.argv.pop(4)]; "
        "from modelyard.server.previews.sandbox_program import main; main(sys.argv[2:])",
        folder=str(Path(__file__).parents[3]),
        arguments=(str(Path(pillow.origin).parents[1]), task),
    )
