"""Looking up a link at its source."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelyard.server.imports.sources.civitai import NAME as CIVITAI
from modelyard.server.imports.sources.civitai import find_civitai_model
from modelyard.server.imports.sources.direct import find_direct_model, read_file_headers
from modelyard.server.imports.sources.found import FoundModel
from modelyard.server.imports.sources.huggingface import find_huggingface_model
from modelyard.server.imports.sources.links import (
    CIVITAI_URL,
    HUGGINGFACE_URL,
    CivitaiLink,
    Endpoints,
    HuggingFaceLink,
    parse_link,
)
from modelyard.server.imports.sources.requests import translate_outbound_errors
from modelyard.server.outbound.client import Limits, OutboundClient
from modelyard.server.outbound.policy import OutboundPolicy, get_host_and_port, parse_listed_hosts, parse_url
from modelyard.server.settings import Settings

# A person waits for the answer.
LOOKUP_LIMITS = Limits(connect_seconds=5.0, read_seconds=10.0, head_seconds=20.0, document_seconds=20.0)


@dataclass(frozen=True)
class Sources:
    """The sources as the operator configured them, and the client for requests to them."""

    client: OutboundClient
    endpoints: Endpoints

    def with_tokens(self, tokens: Mapping[tuple[str, int], str] | None) -> "Sources":
        """Return these sources for a team's tokens by host and port, None if they are off; nothing is to be closed."""
        return replace(self, client=self.client.with_tokens(tokens))


def open_sources(settings: Settings, limits: Limits = LOOKUP_LIMITS) -> Sources:
    """Return the sources of these settings. Nothing is sent before the first request, and nothing has to be closed."""
    endpoints = Endpoints(settings.import_huggingface_url.rstrip("/"), settings.import_civitai_url.rstrip("/"))
    policy = OutboundPolicy(parse_listed_hosts(settings.import_hosts) | _list_mirrors(endpoints))
    return Sources(OutboundClient(policy, limits, proxy=settings.egress_proxy), endpoints)


def _list_mirrors(endpoints: Endpoints) -> frozenset[tuple[str, int]]:
    """Return host and port of each endpoint that the operator replaced by a mirror."""
    mirrors = {endpoints.huggingface, endpoints.civitai} - {HUGGINGFACE_URL, CIVITAI_URL}
    return frozenset(get_host_and_port(parse_url(address)) for address in mirrors)


def find_model(sources: Sources, text: str) -> FoundModel:
    """Look up a link at its source.

    Raises:
        LinkRefused: it is no link of a model, or one that may not be requested.
        SourceNotFound, SourceRestricted, SourceUnavailable: see ``check_response``.
    """
    with translate_outbound_errors():
        link = parse_link(text.strip(), sources.endpoints)
    if isinstance(link, HuggingFaceLink):
        return find_huggingface_model(sources.client, sources.endpoints.huggingface, link)
    if isinstance(link, CivitaiLink):
        return _add_exact_size(sources, find_civitai_model(sources.client, sources.endpoints.civitai, link))
    return find_direct_model(sources.client, link)


def _add_exact_size(sources: Sources, found: FoundModel) -> FoundModel:
    """Return the model with the exact size of its file, which Civitai's API does not say and its storage does."""
    headers = read_file_headers(sources.client, found.file.download_url, CIVITAI)
    return replace(found, file=replace(found.file, size=headers.size))
