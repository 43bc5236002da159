"""What another site's page can make a browser do, what a renamed host can, and what answers allow."""

import pytest

from modelyard.server.settings import Settings
from tests.server.places import only_on
from tests.server.world import PASSWORD, World, a_model_file

LOGIN = {"email_address": "owner@studio.test", "user_password": PASSWORD}
EVIL = "http://evil.test"
ODD_HOSTS = ("", "a b", "x@127.0.0.1", "127.0.0.1/x", "127.0.0.1\\x")


def test_a_form_of_another_site_changes_nothing(world: World) -> None:
    body = '{"email_address": "owner@studio.test", "user_password": "' + PASSWORD + '"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = world.client.post("/api/v1/auth/login", content=body, headers={"Content-Type": kind, "Origin": EVIL})
        assert refused.status_code == 415
        assert "set-cookie" not in refused.headers


def test_a_cookie_session_is_not_for_other_origins(world: World) -> None:
    cookie = {"X-Session": "cookie"}
    ours = world.client.post("/api/v1/auth/login", json=LOGIN, headers=cookie | {"Origin": "http://registry.test"})
    assert ours.status_code == 200
    assert {"HttpOnly", "SameSite=strict", "Path=/api/v1/auth"} <= set(ours.headers["set-cookie"].split("; "))
    for origin in (EVIL, "null", "", "http://registry.test.evil.test", "http://registry.test:1", "registry.test"):
        for path, body in (("refresh", {}), ("logout", {}), ("login", LOGIN)):
            refused = world.client.post(f"/api/v1/auth/{path}", json=body, headers=cookie | {"Origin": origin})
            assert (refused.status_code, refused.json()["error_code"]) == (403, "cross_site_refused"), (origin, path)
            assert "set-cookie" not in refused.headers


def test_a_cookie_alone_opens_nothing(world: World) -> None:
    headers = {"X-Session": "cookie", "Origin": "http://registry.test"}
    world.client.post("/api/v1/auth/login", json=LOGIN, headers=headers)
    assert world.client.get("/api/v1/users/me").status_code == 401
    assert world.client.post("/api/v1/auth/refresh", json={}).status_code == 422


def test_no_origin_may_read_answers_unless_the_operator_says_so(world: World) -> None:
    asked = {"Origin": EVIL, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for answer in (
        world.client.options("/api/v1/models", headers=asked),
        world.client.get("/api/v1/models", headers={"Origin": EVIL} | world.owner.headers),
        world.client.get("/healthz", headers={"Origin": EVIL}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


class TestOneAllowedOrigin:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"cors_origins": ("https://tool.test",)})

    def test_may_read_answers_and_nobody_else_may(self, world: World) -> None:
        allowed = world.client.get("/healthz", headers={"Origin": "https://tool.test"})
        assert allowed.headers["access-control-allow-origin"] == "https://tool.test"
        for origin in (EVIL, "https://tool.test.evil.test", "http://tool.test", "null"):
            assert "access-control-allow-origin" not in world.client.get("/healthz", headers={"Origin": origin}).headers


class TestWithoutAPublicUrl:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"public_url": None})

    @only_on("folder", reason="a bucket has an address of its own")
    def test_only_a_host_that_nobody_could_invent_is_in_a_link(self, world: World) -> None:
        for host in (
            "evil.test",
            "evil.test:80",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "127.0.0.1:x",
            *ODD_HOSTS,
        ):
            for answer in (
                world.owner.call("POST", "/desktop/pair/start", headers={"Host": host}),
                world.owner.call("POST", "/models/presign", headers={"Host": host}, json=_presign()),
            ):
                assert (answer.status_code, answer.json()["error_code"]) == (400, "host_not_allowed"), host
        for host in ("127.0.0.1:8400", "localhost", "[::1]:8400"):
            answer = world.owner.call("POST", "/models/presign", headers={"Host": host}, json=_presign())
            assert answer.json()["upload_url"].startswith(f"http://{host}/blobs/")


def _presign() -> dict[str, object]:
    return {"file_name": "a.safetensors", "file_size": 5, "model_type": "loras", "model_path": "loras/a.safetensors"}


TWISTS = ("//{0}", "/{0}/", "/{0};x=.well-known", "/{0}?x=.well-known", "/{0}%2f", "/{0}%00", "/./{0}", "/x/../{0}")
MORE_TWISTS = ("/{0}/healthz", "/healthz/../{0}", "/{0}#/healthz", "/{0}/..;/healthz", "/%61pi/../{0}")
PRIVATE = ("models", "users/me", "credentials", "audit-events", "teams/current", "members", "invitations")
LURES = {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz", "X-Forwarded-Prefix": "/healthz"}


def test_no_spelling_of_an_address_gets_around_the_sign_in(world: World) -> None:
    for twist in TWISTS + MORE_TWISTS:
        for path in PRIVATE:
            for host in ("registry.test", "evil.test/healthz?", "registry.test/healthz#"):
                answer = world.client.get(twist.format(f"api/v1/{path}"), headers={"Host": host} | LURES)
                assert answer.status_code in (401, 404, 405), (twist, path, answer.text)


def test_two_credentials_are_one_too_many(world: World) -> None:
    token = f"Bearer {world.owner.token}"
    for second in (token, "Bearer sk-x", "Basic eDp5"):
        headers = [("Authorization", token), ("Authorization", second), ("X-Team-ID", world.team_id)]
        assert world.client.get("/api/v1/models", headers=headers).status_code in (400, 401)


def test_every_answer_says_what_it_is_and_is_not_to_be_guessed_or_kept(world: World) -> None:
    model_id = world.owner.register(a_model_file())
    answers = [
        world.owner.get(path) for path in ("/models", f"/models/{model_id}", "/nowhere", "/users/me", "/credentials")
    ]
    answers += [world.owner.post("/auth/login", **LOGIN), world.nobody.get("/models"), world.owner.post("/models")]
    answers += [world.owner.call("PATCH", "/models"), world.owner.get(f"/models/{model_id}/download")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] in ("no-store", "private, no-cache")
        if answer.content:
            kinds = {True: "application/json", False: "application/problem+json"}
            assert answer.headers["content-type"] == kinds[answer.is_success]


@only_on("folder", reason="a bucket answers with headers of its own")
def test_a_model_is_served_as_a_download_and_never_as_a_page(world: World) -> None:
    names = ["loras/page.safetensors", "loras/ünï.safetensors", "loras/a b.safetensors"]
    for name in names:
        model_id = world.owner.register(a_model_file(name), name)
        url = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        answer = world.client.get(url)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
