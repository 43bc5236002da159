"""The refresh token in a cookie, for the web page: scripts cannot read it, and other sites cannot use it.

The ``X-Session: cookie`` header asks for it. A form or an image of another site cannot send that header, and a script
of another site would have to say its ``Origin``.
"""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Response

from modelyard.server.accounts.sessions import SESSION_LIFE, Pair
from modelyard.server.inbound import settings_of
from modelyard.wire.accounts import Tokens
from modelyard.wire.problems import CrossSiteRefused, InvalidRequest

COOKIE = "modelyard_refresh"
PATH = "/api/v1/auth"


@dataclass(frozen=True)
class SessionKeeper:
    """Where this request keeps its refresh token: in the bodies, or in a cookie."""

    request: Request
    response: Response
    uses_cookie: bool

    def token(self, sent: str | None) -> str:
        """The refresh token of this request; a cookie that is gone gives a token that no session has.

        Raises:
            InvalidRequest: the body has none, and no cookie was asked for.
        """
        if self.uses_cookie:
            return self.request.cookies.get(COOKIE, "")
        if sent is None:
            raise InvalidRequest(
                "Not valid: 'refresh_token'. Field required.",
                errors=[{"field": "refresh_token", "message": "Field required"}],
            )
        return sent

    def answer(self, pair: Pair) -> Tokens:
        if not self.uses_cookie:
            return Tokens(access_token=pair.access_token, refresh_token=pair.refresh_token)
        self._set_cookie(pair.refresh_token, int(SESSION_LIFE.total_seconds()))
        return Tokens(access_token=pair.access_token, refresh_token=None)

    def forget(self) -> None:
        if self.uses_cookie:
            self._set_cookie("", 0)

    def _set_cookie(self, value: str, seconds: int) -> None:
        public_url = settings_of(self.request).public_url
        is_secure = self.request.url.scheme == "https" or (public_url or "").startswith("https:")
        self.response.set_cookie(
            COOKIE, value, max_age=seconds, path=PATH, secure=is_secure, httponly=True, samesite="strict"
        )


async def _keeper(
    request: Request,
    response: Response,
    x_session: Annotated[
        Literal["cookie"] | None,
        Header(alias="X-Session", description="`cookie` keeps the refresh token in a cookie, for pages."),
    ] = None,
) -> SessionKeeper:
    if x_session is not None:
        _check_origin(request)
    return SessionKeeper(request, response, x_session is not None)


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin", "").lower()
    public_url = settings_of(request).public_url
    host = request.headers.get("host", "").lower()
    if not origin or (origin != (public_url or "").lower() and urlsplit(origin).netloc != host):
        raise CrossSiteRefused("A cookie session is used from the registry's own pages only.")


Keeper = Annotated[SessionKeeper, Depends(_keeper)]
