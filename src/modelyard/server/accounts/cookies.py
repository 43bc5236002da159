"""Transport of the refresh token, in the body or in a cookie that scripts cannot read and other sites cannot use.

Beside that cookie, another one is set, with which the browser loads pictures and nothing else.

The header ``X-Session: cookie`` chooses the cookie. Forms and images of other sites cannot send this header, and
scripts of other sites send an ``Origin``, which is checked.
"""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Response

from modelyard.server.accounts.sessions import SESSION_LIFETIME, TokenPair
from modelyard.server.http.params import get_settings
from modelyard.wire.accounts import Tokens
from modelyard.wire.problems import CrossSiteRefused, InvalidRequest
from modelyard.wire.versions import PREVIEWS_PATH

COOKIE = "modelyard_refresh"
PATH = "/api/v1/auth"
PREVIEW_COOKIE = "modelyard_previews"


@dataclass(frozen=True)
class SessionTransport:
    """How one request and its response carry the refresh token: in their bodies or in a cookie."""

    request: Request
    response: Response
    uses_cookie: bool

    def read_token(self, body_token: str | None) -> str:
        """Return the refresh token of the request; "", which no session has, if the cookie is missing.

        Raises:
            InvalidRequest: the request uses no cookie, and its body has no token.
        """
        if self.uses_cookie:
            return self.request.cookies.get(COOKIE, "")
        if body_token is None:
            raise InvalidRequest(
                "Not valid: 'refresh_token'. Field required.",
                errors=[{"field": "refresh_token", "message": "Field required"}],
            )
        return body_token

    def build_tokens(self, pair: TokenPair) -> Tokens:
        """Build the response body; sets the cookie and omits the refresh token if the request uses the cookie."""
        if not self.uses_cookie:
            return Tokens(access_token=pair.access_token, refresh_token=pair.refresh_token)
        seconds = int(SESSION_LIFETIME.total_seconds())
        self._set_cookie(COOKIE, PATH, pair.refresh_token, seconds)
        self._set_cookie(PREVIEW_COOKIE, PREVIEWS_PATH, pair.preview_token, seconds)
        return Tokens(access_token=pair.access_token, refresh_token=None)

    def clear_cookie(self) -> None:
        """Delete the cookies, if the request uses them."""
        if self.uses_cookie:
            self._set_cookie(COOKIE, PATH, "", 0)
            self._set_cookie(PREVIEW_COOKIE, PREVIEWS_PATH, "", 0)

    def _set_cookie(self, name: str, path: str, value: str, seconds: int) -> None:
        """Set a cookie for so many seconds; 0 deletes it. It is secure if the registry is served over HTTPS."""
        public_url = get_settings(self.request).public_url
        is_secure = self.request.url.scheme == "https" or (public_url or "").startswith("https:")
        self.response.set_cookie(
            name, value, max_age=seconds, path=path, secure=is_secure, httponly=True, samesite="strict"
        )


async def _get_session_transport(
    request: Request,
    response: Response,
    x_session: Annotated[
        Literal["cookie"] | None,
        Header(alias="X-Session", description="`cookie` keeps the refresh token in a cookie, for pages."),
    ] = None,
) -> SessionTransport:
    """Return how the request carries its refresh token, by the header ``X-Session``; async, so it needs no thread.

    Raises:
        CrossSiteRefused: the cookie is used from another site.
    """
    if x_session is not None:
        _check_origin(request)
    return SessionTransport(request, response, x_session is not None)


def _check_origin(request: Request) -> None:
    """Check that a request that uses the cookie comes from a page of the registry.

    Raises:
        CrossSiteRefused: ``Origin`` is missing, or is neither the public URL nor the request's own host.
    """
    origin = request.headers.get("origin", "").lower()
    public_url = get_settings(request).public_url
    host = request.headers.get("host", "").lower()
    if not origin or (origin != (public_url or "").lower() and urlsplit(origin).netloc != host):
        raise CrossSiteRefused(
            "Cookie sessions work only on the registry's own pages. Sign in there, or without a cookie."
        )


SessionTransportDep = Annotated[SessionTransport, Depends(_get_session_transport)]
