"""Failures of outbound requests, each with a sentence for people."""


class OutboundError(Exception):
    """A request to a source was refused or failed; the message is for people."""


class AddressRefused(OutboundError):
    """The address may not be requested: its scheme, port or host, or an IP address of the host. Repeating is no use."""


class ProxyRefused(OutboundError):
    """The operator's proxy refuses the address. Repeating is no use."""


class RedirectRefused(OutboundError):
    """The source redirects too often, or without an address."""


class ResponseTooLarge(OutboundError):
    """The response has more bytes than expected."""


class SourceUnreachable(OutboundError):
    """The source does not resolve, connect or answer, or the connection broke. May succeed later."""


class SourceTooSlow(SourceUnreachable):
    """The source sends fewer bytes than the minimum rate, or took too long."""


class ProxyFailed(SourceUnreachable):
    """The operator's proxy did not send the request. May succeed later."""
