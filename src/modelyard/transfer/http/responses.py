"""Checks of HTTP responses: errors from refusals, and validation of range and whole-object responses."""

import json
import re
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from time import time

from modelyard.transfer.byte_ranges import ByteRange
from modelyard.transfer.errors import BadResponse, Refused

_MAX_REFUSAL_SIZE = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)


class ObjectChanged(Exception):
    """The URL serves no ranges, or another object than the received bytes came from.

    Not raised to callers of downloads, which start again with one stream.
    """


def read_refusal(response: HTTPResponse) -> Refused:
    """Build the error for a refusal from its body: a problem document, an S3 error or neither.

    Reads up to 64 KiB of the body; one that cannot be read counts as empty.
    """
    try:
        body = response.read(_MAX_REFUSAL_SIZE).decode("utf-8", "replace")
    except (OSError, HTTPException):
        body = ""  # a server that refuses before it has read our body often resets the connection
    code, detail = _parse_problem(body) if body.lstrip().startswith("{") else _parse_s3_error(body)
    return Refused(
        response.status,
        _sanitize_line(detail or response.reason or "The server refused the request"),
        code=code,
        retry_after=_parse_retry_after(response.getheader("Retry-After")),
    )


def _parse_problem(body: str) -> tuple[str | None, str | None]:
    """Return the error code and the detail of a problem document; None for those that are missing or no text."""
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    code, detail = problem.get("error_code"), problem.get("detail") or problem.get("error_message")
    return (code if isinstance(code, str) else None), (detail if isinstance(detail, str) else None)


def _parse_s3_error(body: str) -> tuple[str | None, str | None]:
    """Extract ``Code`` and ``Message`` of an S3 error with patterns; an XML parser would expand hostile entities."""
    code = re.search(r"<Code>([^<]{1,100})</Code>", body)
    message = re.search(r"<Message>([^<]{1,500})</Message>", body)
    return code and code[1], message and message[1]


def _sanitize_line(text: str) -> str:
    """Make text from a server safe for terminals: printable characters, one line, at most 300 characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300].strip()


def _parse_retry_after(retry_after: str | None) -> float | None:
    """Parse either form of ``Retry-After`` (RFC 9110, 10.2.3) into seconds from now; None if absent or invalid."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except ValueError:
        return None


def check_range(response: HTTPResponse, requested: ByteRange, size: int) -> None:
    """Check that a response is the range ``requested`` of an object of ``size`` bytes, without an encoding.

    Raises:
        ObjectChanged: status 200 (no ranges are served, or ``If-Range`` did not match) or 416 (it is shorter).
        Refused: any other status except 206.
        BadResponse: a 206 that does not match the request.
    """
    if response.status in {200, 416}:
        raise ObjectChanged
    if response.status != 206:
        raise read_refusal(response)
    _require_no_encoding(response)
    start, end = requested
    given = response.getheader("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(given.strip())
    if match is None or (int(match[1]), int(match[2]) + 1) != requested or match[3] not in {"*", str(size)}:
        raise BadResponse(
            f"Bytes {start}-{end - 1} of {size} were requested, but the server sent {_sanitize_line(given)!r}."
        )
    _check_length(response, end - start)


def check_whole(response: HTTPResponse, size: int) -> None:
    """Check that the body is a whole object of ``size`` bytes, without a content encoding.

    Raises:
        Refused: any status except 200.
        BadResponse: a 200 of another length or with a content encoding.
    """
    if response.status != 200:
        raise read_refusal(response)
    _require_no_encoding(response)
    _check_length(response, size)


def _require_no_encoding(response: HTTPResponse) -> None:
    """Raise ``BadResponse`` if the body has a content encoding."""
    coding = response.getheader("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise BadResponse(
            f"The server sent the file {_sanitize_line(coding)!r}-encoded, although the request excluded that."
        )


def _check_length(response: HTTPResponse, expected: int) -> None:
    """Check the declared length; a chunked body has none and is counted while it is read.

    Raises:
        BadResponse: it is another one than expected.
    """
    if response.length is not None and response.length != expected:
        raise BadResponse(f"The server declared {response.length} bytes instead of {expected}.")


def get_strong_etag(etag: str | None) -> str | None:
    """Return the ETag if it is strong, as ``If-Range`` requires (RFC 9110, 13.1.5), else None."""
    return etag if etag is not None and etag.startswith('"') else None
