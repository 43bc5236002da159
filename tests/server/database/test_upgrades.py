"""From the first release to today: nothing is lost, and everything still works."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import MetaData, func, select, text

from modelyard.server.app import create_app
from modelyard.server.database.migrations import migrate, schema_state
from modelyard.server.database.session import Database
from modelyard.server.identity.state import Identity
from modelyard.server.resources import Resources, build_database_url, open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.operations import restore_team
from tests.postgres import RunningPostgres
from tests.server.conftest import CHEAP
from tests.server.database.first_release import (
    GONE_TEAM,
    MEMBER,
    OWNER,
    PAIRED_CODE,
    TEAM,
    FirstRelease,
    format_uuid,
    upgrade_to,
)
from tests.server.environments import PATIENT
from tests.server.harness import PASSWORD, ApiCaller, HarnessClient, make_model_file

pytestmark = pytest.mark.slow


class Upgraded:
    """Today's registry on the rows and bytes of the first release."""

    def __init__(self, resources: Resources, client: HarnessClient, release: FirstRelease) -> None:
        self.resources = resources
        self.release = release
        self.anonymous = ApiCaller(client, None)

    def by(self, kind: str) -> ApiCaller:
        return ApiCaller(self.anonymous.client, self.release.tokens[kind])

    def owner(self) -> ApiCaller:
        answer = self.anonymous.post("/auth/login", email_address=OWNER.lower(), user_password=PASSWORD)
        assert answer.status_code == 200, answer.text
        return ApiCaller(self.anonymous.client, answer.json()["access_token"], format_uuid(TEAM))

    def models(self, **query: Any) -> dict[str, dict[str, Any]]:
        answer = self.owner().get("/models", **query).json()
        return {model["display_name"]: model for model in answer["model_list"]}

    def content(self, word: str) -> bytes:
        url = self.owner().get(f"/models/{self.models()[word]['id']}/download", redirect="false").json()["download_url"]
        return self.anonymous.client.get(url).content


@pytest.fixture
def release(database_url: str, tmp_path: Path) -> FirstRelease:
    release = FirstRelease()
    release.write(database_url, tmp_path)
    return release


@contextmanager
def open_upgraded(settings: Settings, release: FirstRelease) -> Iterator[Upgraded]:
    """Open today's registry on a first release, which upgrades the database unless that was done before."""
    with (
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        HarnessClient(create_app(resources), None) as client,
    ):
        yield Upgraded(resources, client, release)


@dataclass(frozen=True)
class UpgradedFiles:
    """The folder and the database of a first release that was upgraded; ``postgres`` is None on SQLite."""

    release: FirstRelease
    settings: Settings
    postgres: RunningPostgres | None

    @contextmanager
    def copy(self, data_dir: Path) -> Iterator[Settings]:
        """Copy both, and yield the settings of a registry on the copies; the copied database is dropped at the end."""
        shutil.copytree(self.settings.data_dir, data_dir)
        with ExitStack() as stack:
            url = None
            if self.postgres is not None:
                template = build_database_url(self.settings).rpartition("/")[2]
                url = stack.enter_context(self.postgres.database(template))
            yield self.settings.model_copy(update={"data_dir": data_dir, "database_url": url})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def upgraded_files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpgradedFiles]:
    """A first release that was upgraded once for all tests of a kind of database."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("upgraded"), public_url="http://registry.test")
    with ExitStack() as stack:
        postgres = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
        if postgres is not None:
            settings = settings.model_copy(update={"database_url": stack.enter_context(postgres.database())})
        release = FirstRelease()
        release.write(build_database_url(settings), settings.data_dir)
        with open_resources(settings, Identity(CHEAP), PATIENT):
            pass
        yield UpgradedFiles(release, settings, postgres)


@pytest.fixture
def upgraded(upgraded_files: UpgradedFiles, tmp_path: Path) -> Iterator[Upgraded]:
    with (
        upgraded_files.copy(tmp_path / "data") as settings,
        open_upgraded(settings, upgraded_files.release) as upgraded,
    ):
        yield upgraded


@pytest.fixture
def upgraded_at_start(release: FirstRelease, database_url: str, tmp_path: Path) -> Iterator[Upgraded]:
    """The registry in the process that upgraded its database."""
    url = None if database_url.startswith("sqlite") else database_url
    settings = Settings(data_dir=tmp_path, database_url=url, public_url="http://registry.test")
    with open_upgraded(settings, release) as upgraded:
        yield upgraded


def test_first_release_database_fills_every_table_and_is_behind(release: FirstRelease, database: Database) -> None:
    assert schema_state(database.engine) == "behind"
    tables = MetaData()
    tables.reflect(database.engine)
    with database.reading() as session:
        counts = {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables.sorted_tables}
    assert [name for name, count in counts.items() if not count] == []


def test_upgrade_keeps_all_rows(upgraded: Upgraded) -> None:
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
        sum(len(make_model_file(word)) for word in living | {"trashed": {}}),
    )
    actions = [event["action"] for event in owner.get("/audit-events", per_page=100).json()["audit_event_list"]]
    assert {"team.created", "model.registered"} <= set(actions)


def test_upgrade_audit_events_of_damaged_models_are_renamed(upgraded: Upgraded) -> None:
    events = upgraded.owner().get("/audit-events", per_page=100).json()["audit_event_list"]
    actions = [event["action"] for event in events]
    assert {"model.corrupted", "model.repaired"} <= set(actions)
    assert {"model.rotten", "model.healed"}.isdisjoint(actions)


def test_upgrade_renamed_jobs_keep_their_leases(database: Database) -> None:
    upgrade_to(database, "0014")
    with database.engine.begin() as connection:
        connection.execute(text("INSERT INTO job_leases (name) VALUES ('sweep'), ('absences'), ('scrub')"))
    migrate(database.engine)
    with database.engine.begin() as connection:
        names = connection.execute(text("SELECT name FROM job_leases")).scalars().all()
    assert sorted(names) == ["offline machines", "scrub", "thorough clean-up"]


def test_upgrade_models_can_be_served_restored_and_registered(upgraded_at_start: Upgraded) -> None:
    upgraded = upgraded_at_start
    assert upgraded.content("verified") == make_model_file("verified")
    trashed = upgraded.models(deleted="true")["trashed"]["id"]
    assert upgraded.owner().post(f"/models/{trashed}/restore").status_code == 200
    assert upgraded.content("trashed") == make_model_file("trashed")
    upgraded.owner().register(make_model_file("new"), "loras/new.safetensors")
    assert upgraded.content("new.safetensors") == make_model_file("new")


def test_upgrade_content_of_a_model_in_the_trash_is_found_once_it_is_restored(upgraded: Upgraded) -> None:
    owner, trashed = upgraded.owner(), upgraded.models(deleted="true")["trashed"]
    lookup = {"hashes": [trashed["file_hash"]]}
    assert owner.post("/models/lookup", **lookup).json()["match_list"] == []
    assert owner.post(f"/models/{trashed['id']}/restore").status_code == 200
    [match] = owner.post("/models/lookup", **lookup).json()["match_list"]
    assert match["id"] == trashed["id"]


def test_upgrade_pending_model_is_verified_and_failed_one_repaired(upgraded: Upgraded) -> None:
    owner = upgraded.owner()
    owner.wait_until_verified(upgraded.models()["pending"]["id"])
    assert upgraded.models()["pending"]["verification"] == "verified"
    assert upgraded.content("pending") == make_model_file("pending")
    owner.register(make_model_file("failed"), "loras/failed.safetensors", display_name="failed")
    assert upgraded.content("failed") == make_model_file("failed")


def test_upgrade_old_labels_select_machines(upgraded: Upgraded) -> None:
    agent = upgraded.by("agent")
    model_id = upgraded.models()["verified"]["id"]
    for labels, status in (["gpu24"], 404), (["gpu24", "big"], 200):
        agent.post("/agent/heartbeat", agent_id="render-07", agent_labels=labels)
        assert agent.get(f"/models/{model_id}/download", redirect="false").status_code == status
        held = agent.get("/agent/manifest", agent_id="render-07").json()["model_list"]
        assert (model_id in [model["id"] for model in held]) is (status == 200)


def test_upgrade_keys_sessions_and_permissions_stay_valid(upgraded: Upgraded) -> None:
    assert upgraded.by("integration").get("/models").status_code == 200
    assert upgraded.by("device").get("/users/me").json()["display_name"] == "Registry Ø"
    assert upgraded.by("agent").post("/agent/heartbeat", agent_id="render-07").status_code == 200
    refreshed = upgraded.anonymous.post("/auth/refresh", refresh_token=upgraded.release.tokens["refresh"])
    assert refreshed.status_code == 200, refreshed.text
    accepted = upgraded.anonymous.post(
        "/invitations/accept",
        invitation_token=upgraded.release.tokens["invitation"],
        first_name="New",
        last_name="Face",
        user_password=PASSWORD,
    )
    assert accepted.status_code == 200, accepted.text
    reset = upgraded.anonymous.post(
        "/auth/password-reset", reset_token=upgraded.release.tokens["reset"], new_password="another long sentence"
    )
    assert reset.status_code == 200, reset.text


def test_upgrade_logs_how_many_invitations_without_inviter_were_withdrawn(
    release: FirstRelease, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "modelyard.database"):
        migrate(database.engine)
    told = [record for record in caplog.records if "invitations were withdrawn" in record.getMessage()]
    assert [getattr(record, "invitations", None) for record in told] == [1]


def test_upgrade_invitation_names_inviter(upgraded: Upgraded) -> None:
    listed = upgraded.owner().get("/invitations").json()["invitation_list"]
    assert [(row["email_address"], row["invited_by"]["display_name"]) for row in listed] == [
        ("new@studio.test", "Registry Ø")
    ]
    orphan = upgraded.release.tokens["orphan"]
    assert upgraded.anonymous.post("/invitations/preview", invitation_token=orphan).status_code == 404


def test_upgrade_logs_how_many_keys_of_non_admins_stop_working(
    release: FirstRelease, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "modelyard.database"):
        migrate(database.engine)
    told = [record for record in caplog.records if "stop working" in record.getMessage()]
    assert [getattr(record, "keys", None) for record in told] == [1]


def test_upgrade_disabled_key_is_enabled_by_admin(upgraded: Upgraded) -> None:
    assert upgraded.by("demoted").get("/models").status_code == 401
    listed = upgraded.owner().get("/credentials").json()["credentials"]
    stopped = [key for key in listed if key["key_status"] == "stopped"]
    assert [key["display_name"] for key in stopped] == ["old demoted"]
    assert upgraded.owner().post(f"/credentials/{stopped[0]['id']}/rotate").status_code == 200
    assert upgraded.by("demoted").get("/models").status_code == 200


def test_upgrade_pairing_continues_and_deleted_team_is_restored(upgraded: Upgraded) -> None:
    assert upgraded.owner().post("/desktop/pair/confirm", user_code=PAIRED_CODE).status_code == 200
    polled = upgraded.anonymous.post("/desktop/pair/poll", device_code=upgraded.release.tokens["pairing"])
    assert polled.json()["status"] == "approved"
    gone = ApiCaller(upgraded.anonymous.client, upgraded.owner().token, format_uuid(GONE_TEAM))
    assert gone.get("/models").status_code == 403
    with upgraded.resources.database.writing() as session:
        restore_team(session, UUID(GONE_TEAM))
    assert gone.get("/models").status_code == 200
