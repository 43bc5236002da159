"""A file that many failed contents have is allowed in transactions of bounded size."""

from uuid import UUID

import pytest

from modelyard.server.identity.authentication import Caller
from modelyard.server.models.trusted_files.operations import allow_file
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import MemberRow
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import RoleTooLow
from tests.server.harness import hash_of
from tests.server.inspection import builders
from tests.server.verification.unverified_team import UnverifiedTeam
from tests.server.watched_database import WatchedDatabase

pytestmark = pytest.mark.slow

UNSAFE = builders.build_tensorless_checkpoint(builders.call(builders.named("os", "system"), builders.text("true")))
SHA256 = hash_of(UNSAFE).removeprefix("sha256:")


@pytest.fixture
def failed(unverified: UnverifiedTeam) -> list[str]:
    """Five models of a refused file, each with its own content."""
    assert unverified.owner.put("/teams/current", pickle_policy="trusted").status_code == 200
    models = []
    for number in range(5):
        models.append(unverified.register(UNSAFE, f"ultralytics/{number}.pt"))
        unverified.verify()
    return models


def build_context(team: UnverifiedTeam) -> TeamContext:
    caller = Caller("user", UUID(team.owner.user_id), None, None, None, "write", "Owner", None)
    return TeamContext(caller, UUID(team.owner.team_id), Role.OWNER)


def test_allow_file_of_five_contents_takes_transactions_of_two(unverified: UnverifiedTeam, failed: list[str]) -> None:
    database = WatchedDatabase(unverified.resources.database)
    allow_file(database.as_database(), build_context(unverified), SHA256, "Ours.", most_blobs=2)
    assert len(database.written) == 3
    assert {unverified.state(model_id) for model_id in failed} == {"pending"}


def test_allow_file_of_an_admin_who_loses_the_role_meanwhile_ends_and_is_continued_when_repeated(
    unverified: UnverifiedTeam, failed: list[str]
) -> None:
    set_role(unverified, "member")
    team = build_context(unverified)
    with pytest.raises(RoleTooLow):
        allow_file(unverified.resources.database, team, SHA256, "Ours.", most_blobs=2)
    states = [unverified.state(model_id) for model_id in failed]
    assert sorted(states) == ["failed"] * 3 + ["pending"] * 2
    set_role(unverified, "owner")
    assert unverified.owner.put(f"/trusted-files/{SHA256}", reason="Ours.").status_code == 200
    assert {unverified.state(model_id) for model_id in failed} == {"pending"}


def set_role(team: UnverifiedTeam, role: str) -> None:
    """Set the role of the team's owner in the database."""
    with team.resources.database.writing() as session:
        session.get_one(MemberRow, (UUID(team.owner.team_id), UUID(team.owner.user_id))).role = role
