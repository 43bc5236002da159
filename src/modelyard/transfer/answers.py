"""What an HTTP answer means: the words of a refusal, and whether a range is the one that was asked for."""

import json
import re
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from time import time

from modelyard.transfer.failures import BadAnswer, Refused
from modelyard.transfer.spans import Span

_LONGEST_REFUSAL = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)


class OtherObject(Exception):
    """The URL serves another object than the one whose bytes we hold, or no ranges. Never leaves ``fetch``."""


def refusal(response: HTTPResponse) -> Refused:
    """What the other side said no with: a problem body, an S3 error or bare words. Reads the body."""
    try:
        body = response.read(_LONGEST_REFUSAL).decode("utf-8", "replace")
    except (OSError, HTTPException):
        body = ""  # a server that refuses before it has read our body often cuts off its own words
    code, detail = _from_json(body) if body.lstrip().startswith("{") else _from_xml(body)
    return Refused(
        response.status,
        _one_line(detail or response.reason or "The server refused"),
        code=code,
        retry_after=_seconds(response.getheader("Retry-After")),
    )


def _from_json(body: str) -> tuple[str | None, str | None]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    code, detail = found.get("error_code"), found.get("detail") or found.get("error_message")
    return (code if isinstance(code, str) else None), (detail if isinstance(detail, str) else None)


def _from_xml(body: str) -> tuple[str | None, str | None]:
    """``Code`` and ``Message`` of an S3 error. By pattern: an XML parser would let the other side define entities."""
    code = re.search(r"<Code>([^<]{1,100})</Code>", body)
    message = re.search(r"<Message>([^<]{1,500})</Message>", body)
    return code and code[1], message and message[1]


def _one_line(text: str) -> str:
    """Text of a stranger, fit for a terminal: printable, one line, not long."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300].strip()


def _seconds(retry_after: str | None) -> float | None:
    """The two forms of ``Retry-After`` (RFC 9110, 10.2.3) as seconds from now."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except ValueError:
        return None


def check_range(response: HTTPResponse, asked: Span, size: int) -> None:
    """Make sure that the body is ``asked`` of an object of ``size`` bytes, uncoded and of the right length.

    Raises:
        OtherObject: a 200, which is the whole object or another one.
        Refused: any other status but 206.
        BadAnswer: a 206 that is not what was asked for.
    """
    if response.status == 200:
        raise OtherObject("The server answered a range with the whole file.")
    if response.status == 416:
        raise OtherObject("The file on the server is shorter than it should be.")
    if response.status != 206:
        raise refusal(response)
    _refuse_coding(response)
    start, end = asked
    given = response.getheader("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(given.strip())
    if match is None or (int(match[1]), int(match[2]) + 1) != asked or match[3] not in {"*", str(size)}:
        raise BadAnswer(f"Asked for bytes {start}-{end - 1} of {size}, the server sent {_one_line(given)!r}.")
    _check_length(response, end - start)


def check_whole(response: HTTPResponse, size: int) -> None:
    """Make sure that the body is a whole object of ``size`` bytes, uncoded.

    Raises:
        Refused: any status but 200.
        BadAnswer: a 200 of another length or with a content coding.
    """
    if response.status != 200:
        raise refusal(response)
    _refuse_coding(response)
    _check_length(response, size)


def _refuse_coding(response: HTTPResponse) -> None:
    coding = response.getheader("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise BadAnswer(f"The server sent the file {_one_line(coding)!r}-coded, though asked not to.")


def _check_length(response: HTTPResponse, expected: int) -> None:
    """A chunked body has no length; it is counted while it comes."""
    if response.length is not None and response.length != expected:
        raise BadAnswer(f"The server announced {response.length} bytes instead of {expected}.")


def strong_etag(etag: str | None) -> str | None:
    """The tag if it may stand in ``If-Range``, which takes strong ones only (RFC 9110, 13.1.5)."""
    return etag if etag is not None and etag.startswith('"') else None
