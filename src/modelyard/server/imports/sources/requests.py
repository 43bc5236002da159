"""Requests to sources: documents and headers, with the source's refusals as problems in words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from modelyard.server.outbound.client import OutboundClient, OutboundResponse, TokenUse
from modelyard.server.outbound.errors import OutboundError, SourceUnreachable
from modelyard.server.outbound.policy import show_host
from modelyard.wire import problems

RETRY_SECONDS, MAX_RETRY_SECONDS = 30, 3600


class SourceLimited(problems.SourceUnavailable):
    """The source limits how often it is asked: for ``retry_after`` seconds, no request should be sent to its host."""


@dataclass(frozen=True)
class Document:
    """A JSON document of a source, None if it is no JSON, and the headers that came with it."""

    content: Any
    headers: httpx2.Headers


@contextmanager
def request_source(
    client: OutboundClient, method: str, url: str, name: str, headers: dict[str, str] | None = None
) -> Iterator[OutboundResponse]:
    """Send a request to the source called ``name``, and yield the response of a success.

    Raises:
        LinkRefused: the address, or one that it redirects to, may not be requested.
        SourceNotFound, SourceRestricted, SourceUnavailable: see ``check_response``.
    """
    with translate_outbound_errors(), client.request(method, url, headers) as response:
        check_response(response, name)
        yield response


def get_document(client: OutboundClient, url: str, name: str) -> Document:
    """Return a JSON document of the source called ``name``; raises as ``request_source``."""
    with request_source(client, "GET", url, name) as response:
        document = Document(response.read_json(), response.headers)
    if document.content is None:
        raise problems.SourceUnavailable(f"{name} sent no JSON. Try again later.", retry_after=RETRY_SECONDS)
    return document


@contextmanager
def translate_outbound_errors(retry_after: int = RETRY_SECONDS) -> Iterator[None]:
    """Translate errors of outbound requests into problems: those that may pass, and those that will not."""
    try:
        yield
    except SourceUnreachable as error:
        raise problems.SourceUnavailable(str(error), retry_after=retry_after) from None
    except OutboundError as error:
        raise problems.LinkRefused(str(error)) from None


def check_response(response: OutboundResponse, name: str) -> None:
    """Check that a source answered with a success.

    Raises:
        SourceNotFound: it has no such thing, deleted it, or hides it from strangers.
        SourceRestricted: it is gated, in early access, or for signed-in users.
        SourceUnavailable: it is overloaded, or redirects to storage that refuses; with ``retry_after``.
        SourceLimited: it limits requests itself, or says after how many seconds it may be asked again.
        LinkRefused: any other refusal.
    """
    status = response.status
    if status in (200, 206):
        return
    if status == 429 or status >= 500:
        reason = "limits how often it is asked" if status == 429 else f"has an error ({status})"
        # What storage behind a redirect says holds for one download only, and a redirect may lead anywhere.
        is_limited = not response.is_of_other_origin and (status == 429 or "retry-after" in response.headers)
        raise (SourceLimited if is_limited else problems.SourceUnavailable)(
            f"{name} {reason}. Try again later.",
            retry_after=read_retry_after(response.headers),
        )
    said = _read_refusal(response)
    code = response.headers.get("x-error-code")
    if code == "GatedRepo":
        text = f"{name} has this model for people who accepted its conditions there (gated)."
        raise build_restricted(text, "gated", response.requested, response.token_use)
    if status in (404, 410) or code in ("RepoNotFound", "RevisionNotFound", "EntryNotFound"):
        raise problems.SourceNotFound(f"{name} has nothing at this link: {_describe_absence(response)}")
    if status in (401, 403):
        raise _build_refusal(name, response, said)
    raise problems.LinkRefused(f"{name} refuses this link ({status}).")


def _describe_absence(response: OutboundResponse) -> str:
    """Return why there is nothing; of private repositories, sources say that they do not exist."""
    if response.status == 410:
        return "it was deleted or archived."
    absent = "it does not exist, was deleted or is private."
    is_private = response.status == 401 and response.token_use is not TokenUse.SENT
    return f"{absent} {_describe_access(response.requested, response.token_use)}" if is_private else absent


def _build_refusal(name: str, response: OutboundResponse, said: dict[str, Any]) -> problems.Problem:
    """Build the problem of a 401 or 403 with the document that came with it.

    Storage gets no token, and refuses links whose signature has expired: the source makes a new one each time.
    """
    if "early access" in str(said.get("error", "")).casefold() or "deadline" in said:
        until = str(said.get("deadline", ""))[:10]
        when = f" until {until}" if re.fullmatch(r"\d{4}-\d\d-\d\d", until) else ""
        text, reason = f"{name} has this version in early access{when}, for people who paid for it.", "early_access"
    elif response.is_of_other_origin:
        return problems.SourceUnavailable(
            f"{name} redirects to {show_host(response.url)}, which refuses the request ({response.status}). Its link "
            "may have expired. Try again later.",
            retry_after=RETRY_SECONDS,
        )
    else:
        need = "a signed-in user" if response.status == 401 else "a user with access to it"
        text, reason = f"{name} gives this file only to {need}.", "sign_in"
    return build_restricted(text, reason, response.requested, response.token_use)


def build_restricted(text: str, reason: str, url: httpx2.URL, token_use: TokenUse) -> problems.SourceRestricted:
    """Build the problem of a source that demands more than a download; its text says how to set a token."""
    remedy = _describe_access(url, token_use)
    if token_use is not TokenUse.SENT:
        remedy = f"{remedy} Or download the file yourself, and upload it."
    return problems.SourceRestricted(f"{text} {remedy}", reason=reason, host=show_host(url))


def _describe_access(url: httpx2.URL, token_use: TokenUse) -> str:
    """Return a sentence on what gets access to a host: the command that sets a token for it, if tokens are on."""
    host = show_host(url)
    if token_use is TokenUse.OFF:
        return (
            f"No token can be sent to {host} until the registry's operator sets MODELYARD_SECRETS_KEY or "
            "MODELYARD_SECRETS_KEY_FILE."
        )
    if token_use is TokenUse.NONE:
        return f"An admin can set a token of an account with access: modelyard source-token set {host}"
    return (
        f"The team's token for {host} was sent: it has expired, or its account has no access. An admin can set another "
        f"one: modelyard source-token set {host}"
    )


def _read_refusal(response: OutboundResponse) -> dict[str, Any]:
    """Return the JSON object of a refusal; empty if it is none."""
    try:
        content = response.read_json()
    except OutboundError:
        return {}
    return content if isinstance(content, dict) else {}


def read_retry_after(headers: httpx2.Headers) -> int:
    """Return after how many seconds a source may be asked again, of ``Retry-After`` or ``RateLimit``: 1 to 3,600."""
    limits = re.search(r";\s*t=(\d{1,9})", headers.get("ratelimit", ""))
    given = headers.get("retry-after", "") or (limits[1] if limits else "")
    seconds = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else RETRY_SECONDS
    return min(max(seconds, 1), MAX_RETRY_SECONDS)
