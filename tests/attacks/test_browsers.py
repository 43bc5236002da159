"""Attacks through browsers: cross-site requests, forged Host headers, paths that avoid sign-in, response headers."""

import pytest

from modelyard.server.settings import Settings
from tests.server.environments import only_on
from tests.server.harness import PASSWORD, Harness, make_model_file

pytestmark = pytest.mark.slow

LOGIN = {"email_address": "owner@studio.test", "user_password": PASSWORD}
EVIL = "http://evil.test"
ODD_HOSTS = ("", "a b", "x@127.0.0.1", "127.0.0.1/x", "127.0.0.1\\x")


def test_post_form_from_other_site_is_refused(registry: Harness) -> None:
    body = '{"email_address": "owner@studio.test", "user_password": "' + PASSWORD + '"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = registry.client.post(
            "/api/v1/auth/login", content=body, headers={"Content-Type": kind, "Origin": EVIL}
        )
        assert refused.status_code == 415
        assert "set-cookie" not in refused.headers


def test_cookie_session_from_other_origin_is_refused(registry: Harness) -> None:
    cookie = {"X-Session": "cookie"}
    same_origin = registry.client.post(
        "/api/v1/auth/login", json=LOGIN, headers=cookie | {"Origin": "http://registry.test"}
    )
    assert same_origin.status_code == 200
    assert {"HttpOnly", "SameSite=strict", "Path=/api/v1/auth"} <= set(same_origin.headers["set-cookie"].split("; "))
    for origin in (EVIL, "null", "", "http://registry.test.evil.test", "http://registry.test:1", "registry.test"):
        for path, body in (("refresh", {}), ("logout", {}), ("login", LOGIN)):
            refused = registry.client.post(f"/api/v1/auth/{path}", json=body, headers=cookie | {"Origin": origin})
            assert (refused.status_code, refused.json()["error_code"]) == (403, "cross_site_refused"), (origin, path)
            assert "set-cookie" not in refused.headers


def test_request_with_cookie_only_is_refused(registry: Harness) -> None:
    headers = {"X-Session": "cookie", "Origin": "http://registry.test"}
    registry.client.post("/api/v1/auth/login", json=LOGIN, headers=headers)
    assert registry.client.get("/api/v1/users/me").status_code == 401
    assert registry.client.post("/api/v1/auth/refresh", json={}).status_code == 422


def test_cors_unconfigured_origin_gets_no_headers(registry: Harness) -> None:
    preflight_headers = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for response in (
        registry.client.options("/api/v1/models", headers=preflight_headers),
        registry.client.get("/api/v1/models", headers={"Origin": EVIL} | registry.owner.headers),
        registry.client.get("/healthz", headers={"Origin": EVIL}),
    ):
        assert not [name for name in response.headers if name.startswith("access-control")]


class TestOneAllowedOrigin:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"cors_origins": ("https://tool.test",)})

    def test_cors_only_allowed_origin_gets_header(self, registry: Harness) -> None:
        allowed = registry.client.get("/healthz", headers={"Origin": "https://tool.test"})
        assert allowed.headers["access-control-allow-origin"] == "https://tool.test"
        for origin in (EVIL, "https://tool.test.evil.test", "http://tool.test", "null"):
            assert (
                "access-control-allow-origin" not in registry.client.get("/healthz", headers={"Origin": origin}).headers
            )


class TestWithoutPublicUrl:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"public_url": None})

    @only_on("folder", reason="a bucket has an address of its own")
    def test_signed_url_without_public_url_allows_only_loopback_host(self, registry: Harness) -> None:
        for host in (
            "evil.test",
            "evil.test:80",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "127.0.0.1:x",
            *ODD_HOSTS,
        ):
            for response in (
                registry.owner.call("POST", "/desktop/pair/start", headers={"Host": host}),
                registry.owner.call("POST", "/models/presign", headers={"Host": host}, json=_build_presign_body()),
            ):
                assert (response.status_code, response.json()["error_code"]) == (400, "host_not_allowed"), host
        for host in ("127.0.0.1:8400", "localhost", "[::1]:8400"):
            response = registry.owner.call(
                "POST", "/models/presign", headers={"Host": host}, json=_build_presign_body()
            )
            assert response.json()["upload_url"].startswith(f"http://{host}/blobs/")


def _build_presign_body() -> dict[str, object]:
    return {"file_name": "a.safetensors", "file_size": 5, "model_type": "loras", "model_path": "loras/a.safetensors"}


PATH_VARIANTS = (
    "//{0}",
    "/{0}/",
    "/{0};x=.well-known",
    "/{0}?x=.well-known",
    "/{0}%2f",
    "/{0}%00",
    "/./{0}",
    "/x/../{0}",
)
MORE_PATH_VARIANTS = ("/{0}/healthz", "/healthz/../{0}", "/{0}#/healthz", "/{0}/..;/healthz", "/%61pi/../{0}")
PRIVATE = ("models", "users/me", "credentials", "audit-events", "teams/current", "members", "invitations")
REWRITE_HEADERS = {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz", "X-Forwarded-Prefix": "/healthz"}


def test_request_of_each_path_spelling_without_sign_in_returns_401_404_or_405(registry: Harness) -> None:
    for variant in PATH_VARIANTS + MORE_PATH_VARIANTS:
        for path in PRIVATE:
            for host in ("registry.test", "evil.test/healthz?", "registry.test/healthz#"):
                response = registry.client.get(
                    variant.format(f"api/v1/{path}"), headers={"Host": host} | REWRITE_HEADERS
                )
                assert response.status_code in (401, 404, 405), (variant, path, response.text)


def test_request_with_two_authorization_headers_returns_400_or_401(registry: Harness) -> None:
    token = f"Bearer {registry.owner.token}"
    for second in (token, "Bearer sk-x", "Basic eDp5"):
        headers = [("Authorization", token), ("Authorization", second), ("X-Team-ID", registry.team_id)]
        assert registry.client.get("/api/v1/models", headers=headers).status_code in (400, 401)


def test_response_has_nosniff_and_no_store_headers(registry: Harness) -> None:
    model_id = registry.owner.register(make_model_file())
    responses = [
        registry.owner.get(path) for path in ("/models", f"/models/{model_id}", "/nowhere", "/users/me", "/credentials")
    ]
    responses += [
        registry.owner.post("/auth/login", **LOGIN),
        registry.anonymous.get("/models"),
        registry.owner.post("/models"),
    ]
    responses += [registry.owner.call("PATCH", "/models"), registry.owner.get(f"/models/{model_id}/download")]
    for response in responses:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] in ("no-store", "private, no-cache")
        if response.content:
            kinds = {True: "application/json", False: "application/problem+json"}
            assert response.headers["content-type"] == kinds[response.is_success]


@only_on("folder", reason="a bucket answers with headers of its own")
def test_download_html_model_is_attachment(registry: Harness) -> None:
    names = ["loras/page.safetensors", "loras/ünï.safetensors", "loras/a b.safetensors"]
    for name in names:
        model_id = registry.owner.register(make_model_file(name), name)
        url = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        response = registry.client.get(url)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.headers["x-content-type-options"] == "nosniff"
