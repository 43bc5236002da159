"""Read a registry's HTTP responses: limits on their size, and failures as exceptions."""

import json
import re

import httpx2

from modelyard.transfer.errors import BadAddress, BadResponse
from modelyard.transfer.http.redirects import build_registry_redirected
from modelyard.wire.problems import Problem, TooManyAttempts, TooManyUploads, Unavailable, parse_problem

# An endless response must not fill the memory. The largest one, a manifest of 200,000 models, has 100 MB.
_MAX_BYTES = 256 * 1024 * 1024
_CODINGS = frozenset({"identity", "gzip", "deflate"})
# Headers that are no longer true of a decoded body.
_ENCODING_HEADERS = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


async def read_body(url: str, response: httpx2.Response) -> httpx2.Response:
    """Read and decode the body of a streamed response, up to 256 MiB; return a response with the decoded body.

    Raises:
        BadResponse: the body is larger, or has an encoding other than gzip or deflate, or several.
    """
    # Compressed twice, one chunk could be sixty gigabytes before its size can be checked.
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in _CODINGS:
        raise BadResponse(f"{url} sent a response that cannot be decompressed.")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise BadResponse(f"{url} sent a response larger than any of a Modelyard registry.")
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _ENCODING_HEADERS]
    return httpx2.Response(response.status_code, headers=headers, content=bytes(body))


def raise_unless_success(url: str, response: httpx2.Response) -> httpx2.Response:
    """Return a 2xx response; raise the problem of any other. Redirects are not followed, and ``url`` is for messages.

    Raises:
        Problem: the registry refused the call.
        Redirected: the response is a redirect.
        BadResponse: the body is not in the form of a registry's problems; with status 502 to 504, ``Unavailable``
            instead.
    """
    if response.is_success:
        return response
    if response.is_redirect:
        raise build_registry_redirected(url, response.headers.get("Location"))
    raise _build_problem(url, response)


def _build_problem(url: str, response: httpx2.Response) -> Problem | BadResponse:
    """Build the exception of an error response.

    For problems that pass, ``Retry-After`` becomes the fact ``retry_after`` in seconds, unless the body has one.
    """
    body = _parse_json(response)
    problem = parse_problem(response.status_code, body)
    if not _is_problem(body) and not isinstance(problem, Unavailable):
        return build_not_a_registry(url, response)
    seconds = parse_retry_after(response.headers.get("Retry-After"))
    if isinstance(problem, Unavailable | TooManyAttempts | TooManyUploads) and seconds is not None:
        problem.facts.setdefault("retry_after", seconds)
    return problem


def build_bad_address(url: str, failure: Exception) -> BadAddress:
    """Build the error for an address, of the registry or of a proxy, that the HTTP client rejects."""
    return BadAddress(
        f"{url} cannot be called: its address, or that of a proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, is"
        f" not usable ({failure})."
    )


def _parse_json(response: httpx2.Response) -> object:
    """Return the body of a response as JSON; None if it is none."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _is_problem(body: object) -> bool:
    """Return whether the JSON body of an error is one of a registry, of any release, rather than of a proxy."""
    return isinstance(body, dict) and ("error_code" in body or str(body.get("type", "")).startswith("/problems/"))


def build_not_a_registry(url: str, response: httpx2.Response) -> BadResponse:
    """Build the error for a response that no Modelyard registry of this release sends, or none at all."""
    if not response.is_success or _parse_json(response) is None:
        return BadResponse(
            f"{url} answered {response.status_code}, but the answer is not from a Modelyard registry. Check the"
            " address, and the proxies on the way to it."
        )
    return BadResponse(
        f"{url} answered {response.status_code}, but not as a Modelyard registry of this release does. Check the "
        "address, and whether the registry or this program is older: upgrade that one."
    )


def parse_retry_after(value: str | None) -> int | None:
    """Parse a ``Retry-After`` header of at most six digits as seconds; None for dates and anything else."""
    return int(value) if value is not None and re.fullmatch("[0-9]{1,6}", value) else None


def describe_transport_error(failure: httpx2.TransportError) -> str:
    """Return a transport failure as the end of a sentence, without a period."""
    match failure:
        case httpx2.ConnectTimeout():
            return "the connection timed out"
        case httpx2.TimeoutException():
            return "it does not answer in time"
        case httpx2.ConnectError():
            return re.sub(r"^\[Errno -?\d+\] ", "", str(failure)).rstrip(".") or "the connection was refused"
        case httpx2.UnsupportedProtocol():
            return "only http and https are supported"
        case _:
            return "the connection was closed during the response"
