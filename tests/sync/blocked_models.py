"""Assertions on plans that block a model."""

from modelyard.sync.planning.actions import Blocked, Plan


def get_only_blocked(plan: Plan) -> Blocked:
    """Return the only blocked model of a plan that does nothing else, after checking its reason's form."""
    assert (plan.fetch, plan.copy_local, plan.replace, plan.remove, plan.held_removals) == ((), (), (), (), None)
    (blocked,) = plan.blocked
    assert blocked.reason.isprintable()
    assert len(blocked.reason) <= 2000
    assert blocked.reason.endswith((".", "?"))
    return blocked
