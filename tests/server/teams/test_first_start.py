from pathlib import Path

import pytest

from modelyard.server.parts import opened_database
from modelyard.server.teams.first_start import first_start
from modelyard.wire.problems import InvalidRequest
from tests.server.conftest import CHEAP
from tests.server.places import Places
from tests.server.world import World


def test_a_second_start_makes_nobody(world: World) -> None:
    again = first_start(world.parts.database, CHEAP, email="x@y.test", password="long enough", team_name="Second")
    assert again is None
    answer = world.nobody.post("/auth/login", email_address="x@y.test", user_password="long enough")
    assert answer.status_code == 401


def test_the_first_user_owns_the_first_team(world: World) -> None:
    me = world.owner.get("/users/me").json()
    assert me["team_list"] == [{"id": world.team_id, "display_name": "Studio", "member_role": "owner"}]
    event = world.owner.get("/audit-events", action="team.created").json()["audit_event_list"][0]
    assert event["actor_kind"] == "system"
    assert event["actor_id"] is None


def test_an_owner_without_an_address_is_refused_by_the_settings_name(places: Places, tmp_path: Path) -> None:
    with (
        places.fresh(tmp_path) as settings,
        opened_database(settings) as database,
        pytest.raises(InvalidRequest) as refused,
    ):
        first_start(database, CHEAP, email="no address", password="long enough", team_name="x")
    assert refused.value.facts["errors"][0]["field"] == "owner_email"
