from http.cookies import Morsel, SimpleCookie

import httpx2
import pytest

from tests.server.harness import PASSWORD, Harness

SITE = "http://registry.test"
LOGIN = {"email_address": "owner@studio.test", "user_password": PASSWORD}


def _post(registry: Harness, path: str, body: object, *, cookie: str | None = None, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    registry.client.cookies.clear()
    if cookie is not None:
        named["Cookie"] = f"modelyard_refresh={cookie}"
    answer = registry.client.post(f"/api/v1{path}", json=body, headers=named)
    registry.client.cookies.clear()
    return answer


def _kept(answer: httpx2.Response) -> str:
    return _get_morsel(answer).value


def _get_morsel(answer: httpx2.Response) -> "Morsel[str]":
    """Return the session's cookie; another one, for pictures, is set beside it."""
    [header] = [text for text in answer.headers.get_list("set-cookie") if text.startswith("modelyard_refresh=")]
    return SimpleCookie(header)["modelyard_refresh"]


def _signed_in(registry: Harness) -> str:
    answer = _post(registry, "/auth/login", LOGIN, X_Session="cookie", Origin=SITE)
    assert answer.status_code == 200
    return _kept(answer)


def test_login_with_cookie_header_returns_refresh_token_in_httponly_cookie(registry: Harness) -> None:
    answer = _post(registry, "/auth/login", LOGIN, X_Session="cookie", Origin=SITE)
    morsel = _get_morsel(answer)
    assert answer.json()["refresh_token"] is None
    assert answer.json()["access_token"]
    assert morsel["httponly"]
    assert morsel["samesite"].lower() == "strict"
    assert morsel["path"] == "/api/v1/auth"
    assert morsel["max-age"] == "2592000"
    assert not morsel["secure"]


def test_cookie_on_https_is_secure(registry: Harness) -> None:
    headers = {"X-Session": "cookie", "Origin": "https://registry.test", "Host": "registry.test"}
    answer = registry.client.post("https://registry.test/api/v1/auth/login", json=LOGIN, headers=headers)
    registry.client.cookies.clear()
    assert answer.status_code == 200
    assert _get_morsel(answer)["secure"]


def test_refresh_with_cookie_rotates_the_cookie(registry: Harness) -> None:
    kept = _signed_in(registry)
    answer = _post(registry, "/auth/refresh", {}, cookie=kept, X_Session="cookie", Origin=SITE)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] is None
    assert _kept(answer) != kept


def test_refresh_with_cookie_but_without_header_returns_422(registry: Harness) -> None:
    assert _post(registry, "/auth/refresh", {}, cookie=_signed_in(registry), Origin=SITE).status_code == 422


def test_logout_with_cookie_ends_session_and_deletes_cookie(registry: Harness) -> None:
    kept = _signed_in(registry)
    answer = _post(registry, "/auth/logout", {}, cookie=kept, X_Session="cookie", Origin=SITE)
    assert answer.status_code == 204
    assert _kept(answer) == ""
    assert _post(registry, "/auth/refresh", {}, cookie=kept, X_Session="cookie", Origin=SITE).status_code == 401


def test_refresh_without_cookie_returns_session_ended(registry: Harness) -> None:
    assert _post(registry, "/auth/refresh", {}, X_Session="cookie", Origin=SITE).status_code == 401
    assert _post(registry, "/auth/logout", {}, X_Session="cookie", Origin=SITE).status_code == 204


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test",
        "null",
        "http://registry.test.evil.test",
        "http://evil.test/http://registry.test",
        "http://registry.test:81",
        "http://registry.test@evil.test",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/auth/login", "/auth/refresh", "/auth/logout"])
def test_cookie_request_from_other_origin_is_refused(registry: Harness, origin: str, path: str) -> None:
    body = LOGIN if path == "/auth/login" else {}
    answer = _post(registry, path, body, cookie="mr-x", X_Session="cookie", Origin=origin)
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "cross_site_refused"
    assert "set-cookie" not in answer.headers


def test_login_cookie_without_origin_returns_403(registry: Harness) -> None:
    answer = _post(registry, "/auth/login", LOGIN, X_Session="cookie")
    assert answer.status_code == 403


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_login_with_form_body_returns_415(registry: Harness, media_type: str) -> None:
    answer = registry.client.post(
        "/api/v1/auth/login",
        content=b'{"email_address":"owner@studio.test","user_password":"' + PASSWORD.encode() + b'"}',
        headers={"Content-Type": media_type, "Origin": "http://evil.test"},
    )
    assert answer.status_code == 415
