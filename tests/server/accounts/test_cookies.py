from http.cookies import SimpleCookie

import pytest

from tests.server.people.answers import Answer
from tests.server.world import PASSWORD, World

SITE = "http://registry.test"
LOGIN = {"email_address": "owner@studio.test", "user_password": PASSWORD}


def _post(world: World, path: str, body: object, *, cookie: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    world.client.cookies.clear()
    if cookie is not None:
        named["Cookie"] = f"modelyard_refresh={cookie}"
    answer: Answer = world.client.post(f"/api/v1{path}", json=body, headers=named)
    world.client.cookies.clear()
    return answer


def _kept(answer: Answer) -> str:
    return SimpleCookie(answer.headers["set-cookie"])["modelyard_refresh"].value


def _signed_in(world: World) -> str:
    answer = _post(world, "/auth/login", LOGIN, X_Session="cookie", Origin=SITE)
    assert answer.status_code == 200
    return _kept(answer)


def test_a_page_gets_its_refresh_token_where_no_script_can_read_it(world: World) -> None:
    answer = _post(world, "/auth/login", LOGIN, X_Session="cookie", Origin=SITE)
    morsel = SimpleCookie(answer.headers["set-cookie"])["modelyard_refresh"]
    assert answer.json()["refresh_token"] is None
    assert answer.json()["access_token"]
    assert morsel["httponly"]
    assert morsel["samesite"].lower() == "strict"
    assert morsel["path"] == "/api/v1/auth"
    assert morsel["max-age"] == "2592000"
    assert not morsel["secure"]


def test_on_https_the_cookie_never_travels_in_the_clear(world: World) -> None:
    headers = {"X-Session": "cookie", "Origin": "https://registry.test", "Host": "registry.test"}
    answer = world.client.post("https://registry.test/api/v1/auth/login", json=LOGIN, headers=headers)
    world.client.cookies.clear()
    assert answer.status_code == 200
    assert SimpleCookie(answer.headers["set-cookie"])["modelyard_refresh"]["secure"]


def test_the_cookie_continues_the_session_and_changes(world: World) -> None:
    kept = _signed_in(world)
    answer = _post(world, "/auth/refresh", {}, cookie=kept, X_Session="cookie", Origin=SITE)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] is None
    assert _kept(answer) != kept


def test_the_cookie_alone_is_worth_nothing(world: World) -> None:
    assert _post(world, "/auth/refresh", {}, cookie=_signed_in(world), Origin=SITE).status_code == 422


def test_the_cookie_signs_out_and_is_taken_away(world: World) -> None:
    kept = _signed_in(world)
    answer = _post(world, "/auth/logout", {}, cookie=kept, X_Session="cookie", Origin=SITE)
    assert answer.status_code == 204
    assert _kept(answer) == ""
    assert _post(world, "/auth/refresh", {}, cookie=kept, X_Session="cookie", Origin=SITE).status_code == 401


def test_a_page_that_lost_its_cookie_is_signed_out(world: World) -> None:
    assert _post(world, "/auth/refresh", {}, X_Session="cookie", Origin=SITE).status_code == 401
    assert _post(world, "/auth/logout", {}, X_Session="cookie", Origin=SITE).status_code == 204


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
def test_another_site_cannot_use_the_cookie(world: World, origin: str, path: str) -> None:
    body = LOGIN if path == "/auth/login" else {}
    answer = _post(world, path, body, cookie="mr-x", X_Session="cookie", Origin=origin)
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "cross_site_refused"
    assert "set-cookie" not in answer.headers


def test_a_request_that_does_not_say_its_origin_gets_no_cookie(world: World) -> None:
    answer = _post(world, "/auth/login", LOGIN, X_Session="cookie")
    assert answer.status_code == 403


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_is_no_sign_in(world: World, media_type: str) -> None:
    answer = world.client.post(
        "/api/v1/auth/login",
        content=b'{"email_address":"owner@studio.test","user_password":"' + PASSWORD.encode() + b'"}',
        headers={"Content-Type": media_type, "Origin": "http://evil.test"},
    )
    assert answer.status_code == 415
