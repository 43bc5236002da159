"""A registry under test, its users, keys and teams; everything is created through the API."""

import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modelyard.server.app import create_app
from modelyard.server.resources import Resources
from modelyard.server.teams.first_start import first_start
from tests.server.openapi_check import build_response_check
from tests.waiting import PATIENCE_SECONDS, wait_until

PASSWORD = "a long sentence is best"
# Tests share a registry, whose owner creates a team for each of them.
MAX_TEAMS = 10_000


def make_model_file(word: str = "ink", size: int = 64) -> bytes:
    """Return a valid safetensors file with one tensor of ``size`` bytes; another word gives other content."""
    header = json.dumps({word: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + word.encode()[:1] * size


def hash_of(content: bytes) -> str:
    """Return the file hash of content in the API's form ``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class HarnessClient(TestClient):
    """Sends requests to the application in this process, and those to a bucket's address over the network."""

    def __init__(self, app: FastAPI, store_address: str | None) -> None:
        super().__init__(app, base_url="http://registry.test", raise_server_exceptions=False)
        self._store = None if store_address is None else httpx2.URL(store_address).netloc
        self._outside = httpx2.Client(trust_env=False, timeout=PATIENCE_SECONDS)

        # Without the lifespan, the base class would run each request in its own event loop, unlike a server.
        self._own_portal: BlockingPortal | None = None
        self._own_loop = ExitStack()
        self._lock = threading.Lock()

    @property
    def runs_jobs(self) -> bool:
        """Whether the application's lifespan runs, and with it the jobs that verify uploads."""
        return self.portal is not None and self.portal is not self._own_portal

    def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        if request.url.netloc == self._store:
            return self._outside.send(request)
        with self._lock:
            if self.portal is None:
                self._own_portal = self.portal = self._own_loop.enter_context(start_blocking_portal())
        return super().send(request, **how)

    def close(self) -> None:
        self._outside.close()
        self._own_loop.close()
        super().close()


class ApiCaller:
    """Calls the API with the token and team of one caller, or without a token."""

    def __init__(self, client: TestClient, token: str | None, team_id: str | None = None, user_id: str = "") -> None:
        self.client = client
        self.token = token
        self.team_id = team_id
        self.user_id = user_id

    @property
    def headers(self) -> dict[str, str]:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return headers if self.team_id is None else headers | {"X-Team-ID": self.team_id}

    def call(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        """Send a request to a path below ``/api/v1``; redirects are not followed."""
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
        """Presign an upload of this content for a model path; ``changed`` replaces fields of the body."""
        body = {
            "file_name": path.rsplit("/", 1)[-1],
            "file_size": len(content),
            "model_type": path.removeprefix("models/").split("/")[0],
            "model_path": path,
        }
        return self.post("/models/presign", **(body | changed))

    def upload(self, content: bytes, path: str = "loras/ink.safetensors", **changed: Any) -> str:
        """Upload content in one request, unless the team has it already; return the storage key."""
        ticket = self.presign(content, path, **changed).json()
        if not ticket["already_stored"]:
            sent = self.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
            assert sent.status_code == 200, sent.text
        return str(ticket["storage_key"])

    def new_model(self, content: bytes, path: str = "loras/ink.safetensors", **changed: Any) -> dict[str, Any]:
        """Return the body that registers this content; upload the content first unless ``storage_key`` is given."""
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
        """Upload and register a model, wait until it is verified, and return its id."""
        content = make_model_file(path) if content is None else content
        answer = self.post("/models", **self.new_model(content, path, **changed))
        assert answer.status_code in (200, 201), answer.text
        model_id = str(answer.json()["id"])
        self.wait_until_verified(model_id)
        return model_id

    def wait_until_verified(self, model_id: str) -> None:
        """Wait until a model's newest version is verified or failed; at once if no jobs run."""
        if isinstance(self.client, HarnessClient) and not self.client.runs_jobs:
            return
        wait_until(lambda: not self._is_verification_pending(model_id))

    def _is_verification_pending(self, model_id: str) -> bool:
        """Return whether a new version, or the repaired content of the current one, is being verified."""
        model = self.get(f"/models/{model_id}").json()
        newest = model.get("pending_version") or {}
        return "pending" in (model.get("verification"), newest.get("verification"))


class Harness:
    """A registry with an owner, to which tests add members, teams and keys."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        login = first_start(
            resources.database,
            resources.identity.passwords,
            email="owner@studio.test",
            password=PASSWORD,
            team_name="Studio",
        )
        assert login is not None
        self.app = create_app(resources)
        self.client = HarnessClient(self.app, resources.settings.storage_endpoint)
        self.client.event_hooks = {"response": [build_response_check(self.app)]}
        self.team_id = str(login.team_id)
        self._user_count = 0

    def __enter__(self) -> Self:
        self.client.__enter__()
        return self._sign_in_owner()

    @classmethod
    @contextmanager
    def without_jobs(cls, resources: Resources) -> Iterator[Self]:
        """Open a registry whose lifespan does not run, and with it no job: nothing is verified by itself."""
        registry = cls(resources)
        try:
            yield registry._sign_in_owner()
        finally:
            registry.client.close()

    def _sign_in_owner(self) -> Self:
        self.owner = self.sign_in("owner@studio.test", self.team_id)
        self.anonymous = ApiCaller(self.client, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.__exit__(kind, error, trace)
        self.client.close()

    def sign_in(self, email: str, team_id: str | None = None) -> ApiCaller:
        """Sign in with the password that all users of a test have."""
        answer = self.client.post("/api/v1/auth/login", json={"email_address": email, "user_password": PASSWORD})
        assert answer.status_code == 200, answer.text
        caller = ApiCaller(self.client, answer.json()["access_token"], team_id)
        caller.user_id = caller.get("/users/me").json()["id"]
        return caller

    def create_member(self, role: str, team: ApiCaller | None = None) -> ApiCaller:
        """Create a user with a role in the owner's team, or in that of ``team``."""
        inviter = team or self.owner
        self._user_count += 1
        email = f"{role}{self._user_count}@studio.test"
        invited = inviter.post("/invitations", email_address=email, invitation_role=role)
        assert invited.status_code == 201, invited.text
        accepted = self.anonymous.post(
            "/invitations/accept",
            invitation_token=invited.json()["invitation_token"],
            first_name=role.title(),
            last_name=str(self._user_count),
            user_password=PASSWORD,
        )
        assert accepted.status_code < 300, accepted.text
        return self.sign_in(email, inviter.team_id)

    def create_other_team(self) -> ApiCaller:
        """Create a team whose owner is not a member of this one, and return its owner."""
        self._user_count += 1
        email = f"stranger{self._user_count}@elsewhere.test"
        invited = self.owner.post("/invitations", email_address=email, invitation_role="viewer").json()
        self.anonymous.post(
            "/invitations/accept",
            invitation_token=invited["invitation_token"],
            first_name="Stranger",
            last_name=str(self._user_count),
            user_password=PASSWORD,
        )
        other_owner = self.sign_in(email)
        self.owner.delete(f"/members/{other_owner.user_id}")
        created = other_owner.post("/teams", display_name="Elsewhere")
        assert created.status_code == 201, created.text
        return ApiCaller(self.client, other_owner.token, created.json()["id"], other_owner.user_id)

    def create_team(self, display_name: str = "Studio North") -> ApiCaller:
        """Create an empty team of the registry's owner, and return the owner in that team."""
        created = self.owner.post("/teams", display_name=display_name)
        assert created.status_code == 201, created.text
        return ApiCaller(self.client, self.owner.token, created.json()["id"], self.owner.user_id)

    def create_key(self, kind: str, creator: ApiCaller | None = None, **body: Any) -> ApiCaller:
        """Create an ``sk-`` (``integration``) or ``ak-`` (``agent``) key in the creator's team, else in the owner's."""
        created = (creator or self.owner).post("/credentials", kind=kind, display_name=kind, **body)
        assert created.status_code == 201, created.text
        return ApiCaller(self.client, created.json()["raw_key"])

    def create_device(self, user: ApiCaller) -> ApiCaller:
        """Pair a device that acts as ``user``, and return the caller with its ``dk-`` key."""
        return ApiCaller(self.client, self.pair(user)["raw_key"])

    def pair(self, user: ApiCaller, *, is_for_agent: bool = False, **confirmation: Any) -> dict[str, Any]:
        """Pair a device, or the agent of a machine, as ``user``; return the answer with the keys."""
        started = self.anonymous.post(f"/desktop/pair/start?is_for_agent={is_for_agent}").json()
        confirmed = user.post("/desktop/pair/confirm", user_code=started["user_code"], **confirmation)
        assert confirmed.status_code == 200, confirmed.text
        polled: dict[str, Any] = self.anonymous.post("/desktop/pair/poll", device_code=started["device_code"]).json()
        return polled
