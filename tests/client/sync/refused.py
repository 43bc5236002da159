"""A plan that refuses."""

from modelyard.client.sync.planning.actions import Plan, Refuse


def refusal(plan: Plan) -> Refuse:
    """The only thing that the plan does: it refuses one model."""
    assert (plan.fetch, plan.adopt, plan.replace, plan.remove, plan.held) == ((), (), (), (), None)
    (refused,) = plan.refuse
    assert refused.reason.isprintable()
    assert len(refused.reason) <= 2000
    assert refused.reason.endswith((".", "?"))
    return refused
