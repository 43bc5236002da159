"""The cookie with which a browser loads pictures: set beside the session's, and good for nothing else."""

from http.cookies import SimpleCookie

import httpx2
import pytest

from tests.server.harness import PASSWORD, ApiCaller, Harness
from tests.server.previews.drawings import make_png
from tests.server.previews.test_previews import put_preview

pytestmark = pytest.mark.slow

SITE = {"X-Session": "cookie", "Origin": "http://registry.test"}
LOGIN = {"email_address": "owner@studio.test", "user_password": PASSWORD}


def post(registry: Harness, path: str, body: object, cookie: str = "") -> httpx2.Response:
    """Send a request like the page's, with the session's cookie."""
    registry.client.cookies.clear()
    headers = SITE | ({"Cookie": cookie} if cookie else {})
    answer = registry.client.post(f"/api/v1/auth/{path}", json=body, headers=headers)
    registry.client.cookies.clear()
    return answer


def get_cookies(answer: httpx2.Response) -> dict[str, str]:
    """Return the cookies that a response sets, as ``name=value``, by name."""
    found: dict[str, str] = {}
    for header in answer.headers.get_list("set-cookie"):
        for name, morsel in SimpleCookie(header).items():
            found[name] = f"{name}={morsel.value}"
    return found


def get(registry: Harness, path: str, cookie: str) -> int:
    registry.client.cookies.clear()
    return registry.client.get(path, headers={"Cookie": cookie}).status_code


@pytest.fixture
def picture_url(registry: Harness) -> str:
    owner = registry.owner
    return str(put_preview(owner, owner.register(), make_png()).json()["preview_url"])


def test_sign_in_sets_strict_httponly_cookie_for_pictures_only(registry: Harness) -> None:
    answer = post(registry, "login", LOGIN)
    [header] = [text for text in answer.headers.get_list("set-cookie") if text.startswith("modelyard_previews=")]
    assert {"HttpOnly", "SameSite=strict", "Path=/api/v1/previews", "Max-Age=2592000"} <= set(header.split("; "))


def test_cookie_reads_pictures_and_nothing_else(registry: Harness, picture_url: str) -> None:
    cookie = get_cookies(post(registry, "login", LOGIN))["modelyard_previews"]
    assert get(registry, picture_url, cookie) == 200
    assert get(registry, "/api/v1/models", cookie) == 401
    assert get(registry, "/api/v1/users/me", cookie) == 401
    assert post(registry, "refresh", {}, cookie).status_code == 401
    token = cookie.partition("=")[2]
    assert ApiCaller(registry.client, token).get("/users/me").status_code == 401
    as_refresh = post(registry, "refresh", {}, f"modelyard_refresh={token}")
    assert as_refresh.status_code == 401


def test_cookie_of_session_reads_no_pictures(registry: Harness, picture_url: str) -> None:
    value = get_cookies(post(registry, "login", LOGIN))["modelyard_refresh"].partition("=")[2]
    assert get(registry, picture_url, f"modelyard_previews={value}") == 401


@pytest.mark.parametrize("end", ["logout", "everywhere", "password"])
def test_cookie_ends_with_its_session(registry: Harness, picture_url: str, end: str) -> None:
    cookies = get_cookies(post(registry, "login", LOGIN))
    if end == "password":
        changed = {"current_password": PASSWORD, "new_password": PASSWORD}
        assert registry.owner.put("/users/me/password", **changed).status_code == 200
    else:
        answer = post(registry, "logout", {"everywhere": end == "everywhere"}, cookies["modelyard_refresh"])
        assert get_cookies(answer)["modelyard_previews"] == "modelyard_previews="
    assert get(registry, picture_url, cookies["modelyard_previews"]) == 401


def test_refresh_keeps_the_cookie(registry: Harness, picture_url: str) -> None:
    cookies = get_cookies(post(registry, "login", LOGIN))
    refreshed = get_cookies(post(registry, "refresh", {}, cookies["modelyard_refresh"]))
    assert refreshed["modelyard_previews"] == cookies["modelyard_previews"]
    assert get(registry, picture_url, refreshed["modelyard_previews"]) == 200


def test_cookie_of_other_user_reads_no_pictures_of_this_team(registry: Harness, picture_url: str) -> None:
    registry.create_other_team()
    login = LOGIN | {"email_address": "stranger1@elsewhere.test"}
    assert get(registry, picture_url, get_cookies(post(registry, "login", login))["modelyard_previews"]) == 404


def test_cookie_of_removed_member_reads_no_pictures(registry: Harness, picture_url: str) -> None:
    member = registry.create_member("viewer")
    login = LOGIN | {"email_address": "viewer1@studio.test"}
    cookie = get_cookies(post(registry, "login", login))["modelyard_previews"]
    assert get(registry, picture_url, cookie) == 200
    registry.owner.delete(f"/members/{member.user_id}")
    assert get(registry, picture_url, cookie) == 404


def test_forged_cookie_is_refused(registry: Harness, picture_url: str) -> None:
    name, _, value = get_cookies(post(registry, "login", LOGIN))["modelyard_previews"].partition("=")
    session_id, _, signature = value.partition(".")
    other = f"{int(session_id, 16) ^ 1:032x}"
    for forged in (
        "",
        ".",
        session_id,
        f"{other}.{signature}",
        f"{session_id}.{signature[:-1]}",
        "é.é",
        f"{'z' * 32}.x",
    ):
        registry.client.cookies.clear()
        raw = f"{name}={forged}".encode()
        answer = registry.client.get(picture_url, headers=[(b"Cookie", raw)])
        assert answer.status_code == 401


def test_token_and_cookie_together_use_the_token(registry: Harness, picture_url: str) -> None:
    cookie = get_cookies(post(registry, "login", LOGIN))["modelyard_previews"]
    registry.client.cookies.clear()
    headers = {"Cookie": cookie, "Authorization": "Bearer sk-unknown"}
    assert registry.client.get(picture_url, headers=headers).status_code == 401
