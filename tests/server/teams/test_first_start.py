from pathlib import Path

import pytest

from modelyard.server.resources import open_database
from modelyard.server.teams.first_start import first_start
from modelyard.wire.problems import InvalidRequest
from tests.server.conftest import CHEAP
from tests.server.environments import Environments
from tests.server.harness import Harness


def test_first_start_with_existing_users_creates_nothing(registry: Harness) -> None:
    again = first_start(
        registry.resources.database, CHEAP, email="x@y.test", password="long enough", team_name="\u200d"
    )
    assert again is None
    answer = registry.anonymous.post("/auth/login", email_address="x@y.test", user_password="long enough")
    assert answer.status_code == 401


def test_first_start_creates_owner_of_first_team(registry: Harness) -> None:
    me = registry.owner.get("/users/me").json()
    assert me["team_list"] == [{"id": registry.team_id, "display_name": "Studio", "member_role": "owner"}]
    event = registry.owner.get("/audit-events", action="team.created").json()["audit_event_list"][0]
    assert event["actor_kind"] == "system"
    assert event["actor_id"] is None


def test_first_start_invalid_owner_email_names_the_setting(environments: Environments, tmp_path: Path) -> None:
    with (
        environments.create_settings(tmp_path) as settings,
        open_database(settings) as database,
        pytest.raises(InvalidRequest) as refused,
    ):
        first_start(database, CHEAP, email="no address", password="long enough", team_name="x")
    assert refused.value.facts["errors"][0]["field"] == "owner_email"


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "in\u200dk"], ids=ascii)
def test_first_start_invalid_team_name_names_the_setting(environments: Environments, tmp_path: Path, name: str) -> None:
    with (
        environments.create_settings(tmp_path) as settings,
        open_database(settings) as database,
        pytest.raises(InvalidRequest) as refused,
    ):
        first_start(database, CHEAP, email="x@y.test", password="long enough", team_name=name)
    assert [error["field"] for error in refused.value.facts["errors"]] == ["team_name"]
