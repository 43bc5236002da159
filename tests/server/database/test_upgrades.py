"""From the first release to today: nothing is lost, and everything still works."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import MetaData, func, select

from modelyard.server.app import create_app
from modelyard.server.database.migrations import schema_state
from modelyard.server.database.session import Database
from modelyard.server.identity.state import Identity
from modelyard.server.parts import Parts, opened
from modelyard.server.settings import Settings
from modelyard.server.teams.operations import restore_team
from tests.server.conftest import CHEAP
from tests.server.database.first_release import GONE_TEAM, MEMBER, OWNER, PAIRED_CODE, TEAM, FirstRelease, dashed
from tests.server.world import PASSWORD, Someone, WorldClient, a_model_file


class Upgraded:
    """Today's registry on the rows and bytes of the first release."""

    def __init__(self, parts: Parts, client: WorldClient, release: FirstRelease) -> None:
        self.parts = parts
        self.release = release
        self.nobody = Someone(client, None)

    def by(self, kind: str) -> Someone:
        return Someone(self.nobody.client, self.release.tokens[kind])

    def owner(self) -> Someone:
        answer = self.nobody.post("/auth/login", email_address=OWNER.lower(), user_password=PASSWORD)
        assert answer.status_code == 200, answer.text
        return Someone(self.nobody.client, answer.json()["access_token"], dashed(TEAM))

    def models(self, **query: Any) -> dict[str, dict[str, Any]]:
        answer = self.owner().get("/models", **query).json()
        return {model["display_name"]: model for model in answer["model_list"]}

    def content(self, word: str) -> bytes:
        url = self.owner().get(f"/models/{self.models()[word]['id']}/download", redirect="false").json()["download_url"]
        return self.nobody.client.get(url).content


@pytest.fixture
def release(database_url: str, tmp_path: Path) -> FirstRelease:
    release = FirstRelease()
    release.write(database_url, tmp_path)
    return release


@pytest.fixture
def upgraded(release: FirstRelease, database_url: str, tmp_path: Path) -> Iterator[Upgraded]:
    url = None if database_url.startswith("sqlite") else database_url
    settings = Settings(data_dir=tmp_path, database_url=url, public_url="http://registry.test")
    with opened(settings, Identity(CHEAP)) as parts, WorldClient(create_app(parts), None) as client:
        yield Upgraded(parts, client, release)


def test_the_first_release_has_rows_in_every_table_and_is_behind(release: FirstRelease, database: Database) -> None:
    assert schema_state(database.engine) == "behind"
    tables = MetaData()
    tables.reflect(database.engine)
    with database.reading() as session:
        counts = {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables.sorted_tables}
    assert [name for name, count in counts.items() if not count] == []


def test_everything_is_there_after_the_upgrade(upgraded: Upgraded) -> None:
    living = upgraded.models()
    assert list(living) == ["disabled", "failed", "pending", "verified"]
    assert {model["model_status"] for model in living.values()} == {"active", "disabled"}
    assert list(upgraded.models(deleted="true")) == ["trashed"]
    assert list(upgraded.models(tag="ink", q="disab")) == ["disabled"]
    owner = upgraded.owner()
    assert [member["email_address"] for member in owner.get("/members").json()["member_list"]] == [OWNER, MEMBER]
    team = owner.get("/teams/current").json()
    assert (team["quota_bytes"], team["stored_bytes"]) == (
        10**12,
        sum(len(a_model_file(word)) for word in living | {"trashed": {}}),
    )
    actions = [event["action"] for event in owner.get("/audit-events", per_page=100).json()["audit_event_list"]]
    assert {"team.created", "model.registered"} <= set(actions)


def test_models_are_served_restored_and_registered(upgraded: Upgraded) -> None:
    assert upgraded.content("verified") == a_model_file("verified")
    trashed = upgraded.models(deleted="true")["trashed"]["id"]
    assert upgraded.owner().post(f"/models/{trashed}/restore").status_code == 200
    assert upgraded.content("trashed") == a_model_file("trashed")
    upgraded.owner().register(a_model_file("new"), "loras/new.safetensors")
    assert upgraded.content("new.safetensors") == a_model_file("new")


def test_what_was_waiting_is_verified_and_what_failed_heals(upgraded: Upgraded) -> None:
    owner = upgraded.owner()
    owner.wait_until_read(upgraded.models()["pending"]["id"])
    assert upgraded.models()["pending"]["verification"] == "verified"
    assert upgraded.content("pending") == a_model_file("pending")
    owner.register(a_model_file("failed"), "loras/failed.safetensors")
    assert upgraded.content("failed") == a_model_file("failed")


def test_labels_of_then_say_which_machines_get_a_model(upgraded: Upgraded) -> None:
    agent = upgraded.by("agent")
    model_id = upgraded.models()["verified"]["id"]
    for labels, status in (["gpu24"], 404), (["gpu24", "big"], 200):
        agent.post("/agent/heartbeat", agent_id="render-07", agent_labels=labels)
        assert agent.get(f"/models/{model_id}/download", redirect="false").status_code == status
        held = agent.get("/agent/manifest", agent_id="render-07").json()["model_list"]
        assert (model_id in [model["id"] for model in held]) is (status == 200)


def test_keys_sessions_and_permissions_of_then_are_good_now(upgraded: Upgraded) -> None:
    assert upgraded.by("integration").get("/models").status_code == 200
    assert upgraded.by("device").get("/users/me").json()["display_name"] == "Registry Ø"
    assert upgraded.by("agent").post("/agent/heartbeat", agent_id="render-07").status_code == 200
    refreshed = upgraded.nobody.post("/auth/refresh", refresh_token=upgraded.release.tokens["refresh"])
    assert refreshed.status_code == 200, refreshed.text
    accepted = upgraded.nobody.post(
        "/invitations/accept",
        invitation_token=upgraded.release.tokens["invitation"],
        first_name="New",
        last_name="Face",
        user_password=PASSWORD,
    )
    assert accepted.status_code == 200, accepted.text
    reset = upgraded.nobody.post(
        "/auth/password-reset", reset_token=upgraded.release.tokens["reset"], new_password="another long sentence"
    )
    assert reset.status_code == 200, reset.text


def test_a_pairing_goes_on_and_a_deleted_team_comes_back(upgraded: Upgraded) -> None:
    assert upgraded.owner().post("/desktop/pair/confirm", user_code=PAIRED_CODE).status_code == 200
    polled = upgraded.nobody.post("/desktop/pair/poll", device_code=upgraded.release.tokens["pairing"])
    assert polled.json()["status"] == "approved"
    gone = Someone(upgraded.nobody.client, upgraded.owner().token, dashed(GONE_TEAM))
    assert gone.get("/models").status_code == 403
    with upgraded.parts.database.writing() as session:
        restore_team(session, UUID(GONE_TEAM))
    assert gone.get("/models").status_code == 200
