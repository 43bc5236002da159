"""The cast of the matrix: one caller of every kind, two teams that must not see each other, and things to act upon."""

import itertools
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.identity.tables import CredentialRow
from tests.server.world import Someone, World, a_model_file, hash_of

CALLERS = (
    *("nobody", "viewer", "member", "admin", "owner"),
    *("sk-read", "sk-write", "dk-viewer", "dk-member", "dk-admin", "ak"),
    *("away", "away-here", "revoked", "expired", "gone", "dk-gone"),
)
# Words that stand in everything which one of the teams owns, and must never come out to the other.
OURS, THEIRS = "lantern", "canary"
CONTENT = a_model_file("lantern")


class Cast:
    """Callers by name, and targets by kind: each is made when it is first asked for, and again once it was spent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner = world.owner
        self.callers = self._callers() | self._leftovers()
        self._made: dict[str, str] = {}
        self._number = itertools.count()
        self._makers: dict[str, Callable[[str], str]] = {
            "model": self._model,
            "disabled": self._disabled,
            "trashed": self._trashed,
            "handle": lambda maker: self._handle(self.callers[maker]),
            "multipart": self._multipart,
            "invitation": lambda _: str(self._invite()["id"]),
            "person": lambda role: self.world.person(role).user_id,
            "credential": self._credential,
            "device": self._device,
            "agent": lambda _: self._agent(),
            "pairing": lambda _: str(world.nobody.post("/desktop/pair/start").json()["user_code"]),
        }
        self.owner.register(CONTENT, "loras/lantern.safetensors", display_name=OURS)
        self._fill_their_team(self.callers["away"])

    def target(self, kind: str) -> str:
        """A thing of this kind (``model:member`` is a model that the member made), as its id or name."""
        if kind not in self._made:
            name, _, whose = kind.partition(":")
            self._made[kind] = self._makers[name](whose)
        return self._made[kind]

    def spent(self, kind: str) -> None:
        """The target is not what it was: the next caller needs a new one."""
        self._made.pop(kind, None)

    def fresh_email(self) -> str:
        return f"guest{next(self._number)}@studio.test"

    def pair_again(self, caller: str) -> None:
        self.callers[caller] = self.world.device(self.callers[caller.removeprefix("dk-")])

    def _callers(self) -> dict[str, Someone]:
        world = self.world
        viewer, member, admin = (world.person(role) for role in ("viewer", "member", "admin"))
        away = world.other_team()
        return {
            "nobody": Someone(world.client, None, world.team_id),
            "viewer": viewer,
            "member": member,
            "admin": admin,
            "owner": world.owner,
            "sk-read": world.key("integration", access="read"),
            "sk-write": world.key("integration"),
            "dk-viewer": world.device(viewer),
            "dk-member": world.device(member),
            "dk-admin": world.device(admin),
            "ak": world.key("agent"),
            "away": away,
            "away-here": Someone(world.client, away.token, world.team_id, away.user_id),
        }

    def _leftovers(self) -> dict[str, Someone]:
        """Those who were let in once: a revoked key, an expired one, a removed member and that member's device."""
        world = self.world
        found = {"revoked": world.key("integration"), "expired": world.key("integration")}
        _expired, revoked = (key["id"] for key in self.owner.get("/credentials").json()["credentials"][:2])
        assert self.owner.delete(f"/credentials/{revoked}").status_code == 204
        with world.parts.database.writing() as session:
            past = now() - timedelta(seconds=1)
            session.execute(
                update(CredentialRow)
                .where(CredentialRow.key_prefix == _prefix(found["expired"]))
                .values(expires_at=past)
                .execution_options(synchronize_session=False)
            )
        gone = world.person("member")
        found |= {"gone": gone, "dk-gone": world.device(gone)}
        assert self.owner.delete(f"/members/{gone.user_id}").status_code == 204
        return found

    def _fill_their_team(self, away: Someone) -> None:
        content = a_model_file(THEIRS)
        away.put("/teams/current", display_name=THEIRS)
        away.register(content, f"loras/{THEIRS}.safetensors", display_name=THEIRS, tags=[THEIRS], description=THEIRS)
        away.post("/credentials", kind="integration", display_name=THEIRS)
        self.world.key("agent", away).post("/agent/heartbeat", agent_id=THEIRS, agent_labels=[THEIRS])
        away.post("/invitations", email_address=f"{THEIRS}@elsewhere.test", invitation_role="viewer")

    def _handle(self, maker: Someone) -> str:
        """A fresh handle on bytes that the team holds."""
        ticket = maker.presign(CONTENT, self.fresh_path(), file_hash=hash_of(CONTENT)).json()
        assert ticket["already_stored"], ticket
        return str(ticket["storage_key"])

    def fresh_path(self) -> str:
        return f"loras/lantern-{next(self._number)}.safetensors"

    def _model(self, maker: str) -> str:
        someone = self.callers[maker]
        return someone.register(CONTENT, self.fresh_path(), storage_key=self._handle(someone), display_name=OURS)

    def _disabled(self, maker: str) -> str:
        model_id = self._model(maker)
        assert self.owner.put(f"/models/{model_id}", model_status="disabled").status_code == 200
        return model_id

    def _trashed(self, maker: str) -> str:
        model_id = self._model(maker)
        assert self.owner.delete(f"/models/{model_id}").status_code == 204
        return model_id

    def _multipart(self, maker: str) -> str:
        """``storage_key upload_id`` of a begun upload."""
        someone = self.callers[maker]
        key = someone.presign(a_model_file("parts", 100), self.fresh_path()).json()["storage_key"]
        begun = someone.post("/uploads/multipart/initiate", storage_key=key, file_size=len(a_model_file("parts", 100)))
        return f"{key} {begun.json()['upload_id']}"

    def _invite(self) -> dict[str, str]:
        made: dict[str, str] = self.owner.post(
            "/invitations", email_address=f"{OURS}{next(self._number)}@studio.test", invitation_role="viewer"
        ).json()
        return made

    def _credential(self, kind: str) -> str:
        return str(self.owner.post("/credentials", kind=kind, display_name=OURS).json()["id"])

    def _agent(self) -> str:
        """A machine of the team's, for which its agent key speaks, and which holds a removal back."""
        beat = {"agent_id": OURS, "removal_waiting": 1, "removal_token": "a" * 64}
        assert self.callers["ak"].post("/agent/heartbeat", **beat).status_code == 200
        return OURS

    def _device(self, whose: str) -> str:
        """The id of one more device key of this person."""
        prefix = _prefix(self.world.device(self.callers[whose]))
        listed = self.owner.get("/credentials", kind="device", per_page=100).json()["credentials"]
        return next(str(key["id"]) for key in listed if key["key_prefix"] == prefix)


def _prefix(key: Someone) -> str:
    assert key.token is not None
    return key.token[:11]
