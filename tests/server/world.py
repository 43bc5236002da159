"""A registry with people in it: who calls, and what they have brought. Everything goes through the API."""

import hashlib
import json
import struct
import time
from types import TracebackType
from typing import Any, Self

import httpx2
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modelyard.server.app import create_app
from modelyard.server.parts import Parts
from modelyard.server.teams.first_start import first_start
from tests.server.documented import documented

PASSWORD = "a long sentence is best"
VERIFIED_SECONDS = 30.0


def a_model_file(word: str = "ink", size: int = 64) -> bytes:
    """A valid safetensors file with one tensor; another word gives other bytes."""
    header = json.dumps({word: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + word.encode()[:1] * size


def hash_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class WorldClient(TestClient):
    """Sends requests into the application; those for a store that listens elsewhere leave as a real client's do."""

    def __init__(self, app: FastAPI, store_address: str | None) -> None:
        super().__init__(app, base_url="http://registry.test", raise_server_exceptions=False)
        self._store = None if store_address is None else httpx2.URL(store_address).netloc
        self._outside = httpx2.Client(trust_env=False)

    @property
    def has_chores(self) -> bool:
        """Whether the application's lifespan runs, and with it whoever verifies what arrives."""
        return self.portal is not None

    def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        if request.url.netloc == self._store:
            return self._outside.send(request)
        return super().send(request, **how)

    def close(self) -> None:
        self._outside.close()
        super().close()


class Someone:
    """A caller of the API, with the headers that say who."""

    def __init__(self, client: TestClient, token: str | None, team_id: str | None = None, user_id: str = "") -> None:
        self.client = client
        self.token = token
        self.team_id = team_id
        self.user_id = user_id

    @property
    def headers(self) -> dict[str, str]:
        found = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return found if self.team_id is None else found | {"X-Team-ID": self.team_id}

    def call(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        headers = self.headers | arguments.pop("headers", {})
        arguments.setdefault("follow_redirects", False)
        return self.client.request(method, f"/api/v1{path}", headers=headers, **arguments)

    def get(self, path: str, **query: Any) -> httpx2.Response:
        return self.call("GET", path, params=query)

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return self.call("POST", path, json=body)

    def put(self, path: str, **body: Any) -> httpx2.Response:
        return self.call("PUT", path, json=body)

    def delete(self, path: str) -> httpx2.Response:
        return self.call("DELETE", path)

    def presign(self, content: bytes, path: str = "loras/ink.safetensors", **changed: Any) -> httpx2.Response:
        body = {
            "file_name": path.rsplit("/", 1)[-1],
            "file_size": len(content),
            "model_type": path.removeprefix("models/").split("/")[0],
            "model_path": path,
        }
        return self.post("/models/presign", **(body | changed))

    def upload(self, content: bytes, path: str = "loras/ink.safetensors", **changed: Any) -> str:
        """Bytes sent whole; the storage key."""
        ticket = self.presign(content, path, **changed).json()
        if not ticket["already_stored"]:
            sent = self.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
            assert sent.status_code == 200, sent.text
        return str(ticket["storage_key"])

    def new_model(self, content: bytes, path: str = "loras/ink.safetensors", **changed: Any) -> dict[str, Any]:
        """The body that registers these bytes, after uploading them unless ``storage_key`` is given."""
        key = changed.pop("storage_key", None) or self.upload(content, path)
        body = {
            "display_name": path.rsplit("/", 1)[-1],
            "model_type": path.removeprefix("models/").split("/")[0],
            "storage_key": key,
            "file_size": len(content),
            "file_hash": hash_of(content),
            "model_path": path,
        }
        return body | changed

    def register(self, content: bytes | None = None, path: str = "loras/ink.safetensors", **changed: Any) -> str:
        """A registered model's id, once the registry has read its bytes."""
        content = a_model_file(path) if content is None else content
        answer = self.post("/models", **self.new_model(content, path, **changed))
        assert answer.status_code in (200, 201), answer.text
        model_id = str(answer.json()["id"])
        self.wait_until_read(model_id)
        return model_id

    def wait_until_read(self, model_id: str) -> None:
        if isinstance(self.client, WorldClient) and not self.client.has_chores:
            return
        ends = time.monotonic() + VERIFIED_SECONDS
        while self.get(f"/models/{model_id}").json().get("verification") == "pending":
            assert time.monotonic() < ends, "Nobody verified the model."
            time.sleep(0.005)


class World:
    """One registry, its owner, and whoever else a test lets in."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        login = first_start(
            parts.database, parts.identity.passwords, email="owner@studio.test", password=PASSWORD, team_name="Studio"
        )
        assert login is not None
        self.app = create_app(parts)
        self.client = WorldClient(self.app, parts.settings.storage_endpoint)
        self.client.event_hooks = {"response": [documented(self.app)]}
        self.team_id = str(login.team_id)
        self._people = 0

    def __enter__(self) -> Self:
        self.client.__enter__()
        self.owner = self.sign_in("owner@studio.test", self.team_id)
        self.nobody = Someone(self.client, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.__exit__(kind, error, trace)
        self.client.close()

    def sign_in(self, email: str, team_id: str | None = None) -> Someone:
        answer = self.client.post("/api/v1/auth/login", json={"email_address": email, "user_password": PASSWORD})
        assert answer.status_code == 200, answer.text
        someone = Someone(self.client, answer.json()["access_token"], team_id)
        someone.user_id = someone.get("/users/me").json()["id"]
        return someone

    def person(self, role: str, team: Someone | None = None) -> Someone:
        """A new user with a role in the owner's team, or in that of ``team``."""
        inviter = team or self.owner
        self._people += 1
        email = f"{role}{self._people}@studio.test"
        invited = inviter.post("/invitations", email_address=email, invitation_role=role)
        assert invited.status_code == 201, invited.text
        accepted = self.nobody.post(
            "/invitations/accept",
            invitation_token=invited.json()["invitation_token"],
            first_name=role.title(),
            last_name=str(self._people),
            user_password=PASSWORD,
        )
        assert accepted.status_code < 300, accepted.text
        return self.sign_in(email, inviter.team_id)

    def other_team(self) -> Someone:
        """The owner of another team, a stranger to this one."""
        self._people += 1
        email = f"stranger{self._people}@elsewhere.test"
        invited = self.owner.post("/invitations", email_address=email, invitation_role="viewer").json()
        self.nobody.post(
            "/invitations/accept",
            invitation_token=invited["invitation_token"],
            first_name="Stranger",
            last_name=str(self._people),
            user_password=PASSWORD,
        )
        stranger = self.sign_in(email)
        self.owner.delete(f"/members/{stranger.user_id}")
        made = stranger.post("/teams", display_name="Elsewhere")
        assert made.status_code == 201, made.text
        return Someone(self.client, stranger.token, made.json()["id"], stranger.user_id)

    def new_team(self, display_name: str = "Studio North") -> Someone:
        """The owner of this registry in a fresh, empty team of theirs."""
        made = self.owner.post("/teams", display_name=display_name)
        assert made.status_code == 201, made.text
        return Someone(self.client, self.owner.token, made.json()["id"], self.owner.user_id)

    def key(self, kind: str, maker: Someone | None = None, **body: Any) -> Someone:
        """An ``sk-`` (``integration``) or ``ak-`` (``agent``) key of the owner's team."""
        made = (maker or self.owner).post("/credentials", kind=kind, display_name=kind, **body)
        assert made.status_code == 201, made.text
        return Someone(self.client, made.json()["raw_key"])

    def device(self, user: Someone) -> Someone:
        """A paired device that acts as ``user``: its ``dk-`` key."""
        started = self.nobody.post("/desktop/pair/start").json()
        confirmed = user.post("/desktop/pair/confirm", user_code=started["user_code"])
        assert confirmed.status_code == 200, confirmed.text
        polled = self.nobody.post("/desktop/pair/poll", device_code=started["device_code"]).json()
        return Someone(self.client, polled["raw_key"])
