"""Which team the settings select."""

from dataclasses import replace
from uuid import UUID

import pytest

from modelyard.client.profile import ProfileFile
from modelyard.client.session import build_registry, find_team
from modelyard.client.settings import ClientSettings
from modelyard.wire.accounts import OwnTeam
from modelyard.wire.problems import NotAMember
from tests.client.scripted_server import Responses

FIRST = OwnTeam(id=UUID("0199f3a1-9d3c-7000-8000-000000000001"), display_name="Studio", member_role="member")
SECOND = OwnTeam(id=UUID("0199f3a1-8d3c-7000-8000-000000000002"), display_name="Studio", member_role="member")
OTHER = OwnTeam(id=UUID("0200f3a1-8d3c-7000-8000-000000000003"), display_name="Farm", member_role="member")


@pytest.mark.parametrize("team", [str(FIRST.id), FIRST.id.hex], ids=["with dashes", "32 digits"])
async def test_key_with_team_id_asks_for_no_teams(
    responses: Responses, url: str, settings: ClientSettings, team: str
) -> None:
    selected = replace(settings, url=url, token="sk-x", team=team)
    await build_registry(selected, ProfileFile(settings.profile_file))
    assert responses.requests == []


@pytest.mark.parametrize("name", [str(OTHER.id), str(OTHER.id)[:8], OTHER.id.hex[:12].upper(), "farm"])
def test_find_team_by_id_start_of_id_or_name_returns_it(name: str) -> None:
    assert find_team([FIRST, SECOND, OTHER], name) == OTHER


@pytest.mark.parametrize("name", ["studio", "0199f3a1"])
def test_find_team_of_several_lists_only_those(name: str) -> None:
    with pytest.raises(NotAMember) as refused:
        find_team([FIRST, SECOND, OTHER], name)
    assert [str(each.id) in refused.value.detail for each in (FIRST, SECOND, OTHER)] == [True, True, False]
