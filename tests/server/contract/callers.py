"""Callers of every kind, two teams that must not see each other, and target objects for the permission matrix."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.identity.tables import CredentialRow
from tests.server.environments import CLOSED_HOST
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.previews.drawings import make_png

CALLERS = (
    *("nobody", "viewer", "member", "admin", "owner"),
    *("sk-read", "sk-write", "dk-viewer", "dk-member", "dk-admin", "ak"),
    *("away", "away-here", "revoked", "expired", "gone", "dk-gone"),
)
# Words in all data of the one team, which responses to the other must not contain.
OURS, THEIRS = "lantern", "heron"
CONTENT = make_model_file("lantern")


class MatrixSetup:
    """Callers by name and targets by kind. A target is created on first use, and again after ``discard_target``."""

    def __init__(self, registry: Harness) -> None:
        self.registry = registry
        self.owner = registry.owner
        self.callers = self._create_callers() | self._create_former_callers()
        self._targets: dict[str, str] = {}
        self._number = itertools.count()
        self._factories: dict[str, Callable[[str], str]] = {
            "model": self._create_model,
            "disabled": self._create_disabled_model,
            "trashed": self._create_deleted_model,
            "current": lambda creator: self._create_versions(creator, 2),
            "replaced": lambda creator: self._create_versions(creator, 1),
            "deleted": self._create_deleted_version,
            "pictured": lambda creator: self._create_pictured_version(creator, "#123456")[0],
            "picture": lambda creator: self._create_pictured_version(creator, "#abcdef")[1],
            "hidden picture": self._create_hidden_picture,
            "handle": lambda creator: self._create_upload_handle(self.callers[creator]),
            "multipart": self._start_multipart,
            "invitation": lambda _: str(self._create_invitation()["id"]),
            "person": lambda role: self.registry.create_member(role).user_id,
            "credential": self._create_credential,
            "device": self._create_device,
            "agent": lambda _: self._create_agent(),
            "placement": lambda _: f"{self.get_target('agent')} {self.get_target('model:owner')}",
            "import": lambda creator: str(
                self.callers[creator].post("/imports", **self.build_import(OURS)).json()["id"]
            ),
            "host": lambda _: "models.example",
            "source token": self._create_source_token,
            "collection": self._create_collection,
            "collection version": lambda creator: f"{self._create_collection(creator)} 1",
            "subscription": self._create_subscription,
            "held collection": self._create_held_collection,
            "rollout": self._create_rollout,
            "webhook": lambda _: self._create_webhook(),
            "delivery": lambda _: self._create_delivery(),
            "session": lambda _: str(uuid4()),
            "hash": lambda _: hash_of(b"none"),
            "pairing": lambda _: str(registry.anonymous.post("/desktop/pair/start").json()["user_code"]),
        }
        self.owner.register(CONTENT, "loras/lantern.safetensors", display_name=OURS)
        self._fill_other_team(self.callers["away"])

    def get_target(self, kind: str) -> str:
        """Return the id or name of a target of this kind; ``model:member`` is a model that the member created."""
        if kind not in self._targets:
            name, _, whose = kind.partition(":")
            self._targets[kind] = self._factories[name](whose)
        return self._targets[kind]

    def discard_target(self, kind: str) -> None:
        """Forget a target that a request has changed, so that the next caller gets a new one."""
        self._targets.pop(kind, None)

    def fresh_email(self) -> str:
        return f"guest{next(self._number)}@studio.test"

    def pair_again(self, caller: str) -> None:
        self.callers[caller] = self.registry.create_device(self.callers[caller.removeprefix("dk-")])

    def _create_callers(self) -> dict[str, ApiCaller]:
        registry = self.registry
        viewer, member, admin = (registry.create_member(role) for role in ("viewer", "member", "admin"))
        away = registry.create_other_team()
        return {
            "nobody": ApiCaller(registry.client, None, registry.team_id),
            "viewer": viewer,
            "member": member,
            "admin": admin,
            "owner": registry.owner,
            "sk-read": registry.create_key("integration", access="read"),
            "sk-write": registry.create_key("integration"),
            "dk-viewer": registry.create_device(viewer),
            "dk-member": registry.create_device(member),
            "dk-admin": registry.create_device(admin),
            "ak": registry.create_key("agent"),
            "away": away,
            "away-here": ApiCaller(registry.client, away.token, registry.team_id, away.user_id),
        }

    def _create_former_callers(self) -> dict[str, ApiCaller]:
        """Create callers without access: a revoked key, an expired one, a removed member and that member's device."""
        registry = self.registry
        found = {"revoked": registry.create_key("integration"), "expired": registry.create_key("integration")}
        _expired, revoked = (key["id"] for key in self.owner.get("/credentials").json()["credentials"][:2])
        assert self.owner.delete(f"/credentials/{revoked}").status_code == 204
        with registry.resources.database.writing() as session:
            past = now() - timedelta(seconds=1)
            session.execute(
                update(CredentialRow)
                .where(CredentialRow.key_prefix == _prefix(found["expired"]))
                .values(expires_at=past)
                .execution_options(synchronize_session=False)
            )
        gone = registry.create_member("member")
        found |= {"gone": gone, "dk-gone": registry.create_device(gone)}
        assert self.owner.delete(f"/members/{gone.user_id}").status_code == 204
        return found

    def _fill_other_team(self, away: ApiCaller) -> None:
        content = make_model_file(THEIRS)
        away.put("/teams/current", display_name=THEIRS)
        away.register(content, f"loras/{THEIRS}.safetensors", display_name=THEIRS, tags=[THEIRS], description=THEIRS)
        assert away.post("/collections", name=THEIRS, note=THEIRS, model_list=[]).status_code == 201
        away.post("/credentials", kind="integration", display_name=THEIRS)
        self.registry.create_key("agent", away).post("/agent/heartbeat", agent_id=THEIRS, agent_labels=[THEIRS])
        away.post("/invitations", email_address=f"{THEIRS}@elsewhere.test", invitation_role="viewer")

    def _create_upload_handle(self, creator: ApiCaller) -> str:
        """Return a new storage key for content that the team stores already."""
        ticket = creator.presign(CONTENT, self.fresh_path(), file_hash=hash_of(CONTENT)).json()
        assert ticket["already_stored"], ticket
        return str(ticket["storage_key"])

    def fresh_path(self) -> str:
        return f"loras/lantern-{next(self._number)}.safetensors"

    def _create_model(self, creator: str) -> str:
        caller = self.callers[creator]
        return caller.register(
            CONTENT, self.fresh_path(), storage_key=self._create_upload_handle(caller), display_name=OURS
        )

    def _create_disabled_model(self, creator: str) -> str:
        model_id = self._create_model(creator)
        assert self.owner.put(f"/models/{model_id}", model_status="disabled").status_code == 200
        return model_id

    def _create_deleted_model(self, creator: str) -> str:
        model_id = self._create_model(creator)
        assert self.owner.delete(f"/models/{model_id}").status_code == 204
        return model_id

    def _create_versions(self, creator: str, number: int) -> str:
        """Create a model with two versions; return its id and the number of one of them."""
        model_id = self._create_model(creator)
        path = self.owner.get(f"/models/{model_id}").json()["model_path"]
        self.owner.register(make_model_file(path), path, replaces=model_id, display_name=OURS)
        return f"{model_id} {number}"

    def _create_deleted_version(self, creator: str) -> str:
        model_id, number = self._create_versions(creator, 1).split()
        assert self.owner.delete(f"/models/{model_id}/versions/{number}").status_code == 204
        return f"{model_id} {number}"

    def _create_pictured_version(self, creator: str, color: str) -> tuple[str, str]:
        """Create a model whose newest version has a picture; return its id and number, and the picture's hash."""
        target = self._create_versions(creator, 2)
        path = "/models/{}/versions/{}/preview".format(*target.split())
        answer = self.owner.call("PUT", path, content=make_png(color))
        assert answer.status_code == 200, answer.text
        return target, answer.json()["preview_url"].rsplit("/", 1)[-1]

    def _create_hidden_picture(self, creator: str) -> str:
        target, sha256 = self._create_pictured_version(creator, "#0000ff")
        assert self.owner.put(f"/models/{target.split()[0]}", model_status="disabled").status_code == 200
        return sha256

    def _start_multipart(self, creator: str) -> str:
        """Start a multipart upload; return ``storage_key upload_id``."""
        caller = self.callers[creator]
        key = caller.presign(make_model_file("parts", 100), self.fresh_path()).json()["storage_key"]
        begun = caller.post(
            "/uploads/multipart/initiate", storage_key=key, file_size=len(make_model_file("parts", 100))
        )
        return f"{key} {begun.json()['upload_id']}"

    def _create_invitation(self) -> dict[str, str]:
        made: dict[str, str] = self.owner.post(
            "/invitations", email_address=f"{OURS}{next(self._number)}@studio.test", invitation_role="viewer"
        ).json()
        return made

    def _create_credential(self, kind: str) -> str:
        return str(self.owner.post("/credentials", kind=kind, display_name=OURS).json()["id"])

    def _create_agent(self) -> str:
        """Create a machine of the team that reports a held removal."""
        beat = {"agent_id": OURS, "removal_waiting": 1, "removal_token": "a" * 64}
        assert self.callers["ak"].post("/agent/heartbeat", **beat).status_code == 200
        return OURS

    def _create_source_token(self, _creator: str) -> str:
        host = f"{OURS}{next(self._number)}.example"
        assert self.owner.put(f"/source-tokens/{host}", token="hf_example").status_code == 200
        return host

    def build_import(self, name: str = "linked") -> dict[str, object]:
        """Return the body of an import from an address of this machine, which is refused without a connection."""
        path = f"loras/{name}-{next(self._number)}.safetensors"
        fields = {"file_size": 999, "display_name": name, "model_type": "loras", "model_path": path}
        return {"url": f"https://127.0.0.1/{path}"} | fields

    def _create_collection(self, creator: str) -> str:
        """Create a collection with one model; return its id."""
        body = {"name": f"{OURS} {next(self._number)}", "model_list": [{"model_id": self.get_target("model:owner")}]}
        created = self.callers[creator].post("/collections", **body)
        assert created.status_code == 201, created.text
        return str(created.json()["id"])

    def _create_subscription(self, creator: str) -> str:
        """Subscribe a label to a new collection; return the ids of both."""
        collection_id = self._create_collection(creator)
        created = self.owner.post(f"/collections/{collection_id}/subscriptions", label=OURS)
        assert created.status_code == 201, created.text
        return f"{collection_id} {created.json()['id']}"

    def _create_held_collection(self, creator: str) -> str:
        """Create a collection whose version 2, of another model, is held back; return its id."""
        collection_id = self._create_collection(creator)
        assert self.owner.put(f"/collections/{collection_id}", is_held=True).status_code == 200
        other = [{"model_id": self.get_target("model:member")}]
        created = self.owner.post(f"/collections/{collection_id}/versions", model_list=other)
        assert created.status_code == 201, created.text
        return collection_id

    def _create_rollout(self, creator: str) -> str:
        """Start a roll-out to all machines; return the ids of the collection and the roll-out.

        The one machine holds no model of the version: the roll-out does not finish meanwhile.
        """
        collection_id = self._create_held_collection(creator)
        agent_id = self.get_target("agent")
        assert self.owner.put(f"/agents/{agent_id}", agent_labels=["waiting"]).status_code == 200
        subscribed = self.owner.post(f"/collections/{collection_id}/subscriptions", label="waiting")
        assert subscribed.status_code == 201, subscribed.text
        created = self.owner.post(f"/collections/{collection_id}/rollouts", version=2)
        assert created.status_code == 201, created.text
        return f"{collection_id} {created.json()['id']}"

    def build_webhook_bodies(self) -> dict[str, dict[str, Any]]:
        """Return the bodies of requests about webhooks by their names in the matrix."""
        return {"webhook": self.build_webhook()}

    def build_webhook(self, name: str = "hook") -> dict[str, Any]:
        """Return the body of a webhook whose receiver does not answer."""
        return {"display_name": name, "url": f"http://{CLOSED_HOST}/hooks", "event_list": ["model.failed"]}

    def _create_webhook(self) -> str:
        """Create a webhook; return its id."""
        created = self.owner.post("/webhooks", **self.build_webhook(OURS))
        assert created.status_code == 201, created.text
        return str(created.json()["id"])

    def _create_delivery(self) -> str:
        """Queue a test of a new webhook; return the ids of both."""
        webhook_id = self._create_webhook()
        return f"{webhook_id} {self.owner.post(f'/webhooks/{webhook_id}/test').json()['id']}"

    def _create_device(self, whose: str) -> str:
        """Pair one more device of this user; return the id of its key."""
        prefix = _prefix(self.registry.create_device(self.callers[whose]))
        listed = self.owner.get("/credentials", kind="device", per_page=100).json()["credentials"]
        return next(str(key["id"]) for key in listed if key["key_prefix"] == prefix)


def _prefix(key: ApiCaller) -> str:
    assert key.token is not None
    return key.token[:11]
