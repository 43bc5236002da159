from modelyard.server.teams.permissions import build_role_too_low_problem
from modelyard.wire.people.roles import Role


def test_role_too_low_for_what_only_the_owner_may_do_names_the_owner() -> None:
    problem = build_role_too_low_problem(Role.OWNER)
    assert "Ask the owner" in problem.detail
    assert "admin" not in problem.detail
    assert problem.facts == {"needed_role": "owner"}
