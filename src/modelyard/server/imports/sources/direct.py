"""Files at any other https address."""

from dataclasses import dataclass

import httpx2

from modelyard.server.imports.sources.drafts import choose_file_name, clean_line, guess_model_type
from modelyard.server.imports.sources.found import FoundFile, FoundModel
from modelyard.server.imports.sources.links import DirectLink
from modelyard.server.imports.sources.requests import check_response, translate_outbound_errors
from modelyard.server.outbound.client import OutboundClient, OutboundResponse
from modelyard.server.outbound.policy import parse_url, show_url
from modelyard.wire import problems
from modelyard.wire.formats import EXTENSIONS, find_format

# Servers that sign addresses for GET alone refuse HEAD with these.
_ASK_AGAIN = frozenset({400, 403, 404, 405, 501})


@dataclass(frozen=True)
class FileHeaders:
    """What the headers of a file say; ``size`` is None where they do not say it."""

    size: int | None
    disposition: str | None


def find_direct_model(client: OutboundClient, link: DirectLink) -> FoundModel:
    """Return what an address says about its file; raises as ``request_source``, and ``LinkRefused`` for a web page."""
    with translate_outbound_errors():
        url = parse_url(link.url)
    headers = read_file_headers(client, link.url, f"'{url.host}'")
    name = choose_file_name(headers.disposition, url.path)
    if find_format(name) is None:
        raise problems.LinkRefused(f"'{name}' does not end like a model file ({', '.join(EXTENSIONS)}).")
    file = FoundFile(link.url, name, link.url, headers.size)
    return FoundModel(
        kind="direct",
        page_url=show_url(url),
        name=url.host,
        file=file,
        files=[file],
        display_name=clean_line(name.rpartition(".")[0], 255) or name,
        model_type=guess_model_type(f"{url.path.rpartition('/')[0]}/{name}"),
    )


def read_file_headers(client: OutboundClient, url: str, name: str) -> FileHeaders:
    """Return what the headers of a file say, of a HEAD request, or of a GET request whose body is not read.

    Raises:
        LinkRefused: the address has a web page, or may not be requested.
        SourceNotFound, SourceRestricted, SourceUnavailable: see ``check_response``.
    """
    for method in ("HEAD", "GET"):
        with translate_outbound_errors(), client.request(method, url) as response:
            if method == "HEAD" and response.status in _ASK_AGAIN:
                continue
            check_response(response, name)
            return _parse_headers(response, name)
    raise AssertionError("GET is always checked")


def _parse_headers(response: OutboundResponse, name: str) -> FileHeaders:
    """Return what the headers of a success say; raises ``LinkRefused`` for a web page."""
    if response.headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml")):
        raise problems.LinkRefused(f"{name} has a web page at this link, and no file.")
    return FileHeaders(read_size(response.headers), response.headers.get("content-disposition"))


def read_size(headers: httpx2.Headers) -> int | None:
    """Return the size of a whole file by ``Content-Length``; None without one, or for encoded content."""
    length = headers.get("content-length", "")
    is_plain = headers.get("content-encoding", "identity").lower() == "identity"
    return int(length) if is_plain and length.isascii() and length.isdigit() and 0 < int(length) < 2**63 else None
