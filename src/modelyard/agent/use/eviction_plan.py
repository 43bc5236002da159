"""Decides which models a machine does not hold because of its disk budget. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from modelyard.agent.use.eviction_log import EvictionLog
from modelyard.comfyui.quoting import in_bytes
from modelyard.sync.apply.replica_states import ReplicaState, build_replica_state
from modelyard.sync.desired import DesiredModel
from modelyard.wire.uses.eviction import BudgetedModel, choose_evicted


@dataclass(frozen=True)
class EvictionFacts:
    """What a decision needs.

    ``budget_bytes``: None without a budget. ``needed``: models that are assigned to this machine, or that a prompt in
    its ComfyUI's queue names; None if that is unknown now. ``last_uses``: None if use is not counted. ``here``: models
    of which this machine has a file that it placed, also if its removal waits. ``users_own``: models whose file is a
    user's. ``may_evict_here``: False if only what is not here may be left out.
    """

    now: datetime
    budget_bytes: int | None
    needed: Collection[UUID] | None
    last_uses: Mapping[UUID, datetime] | None
    here: Collection[UUID] = frozenset()
    users_own: Collection[UUID] = frozenset()
    may_evict_here: bool = True


@dataclass(frozen=True)
class EvictionPlan:
    """The log to write, and the reported states of the models that are not to be held."""

    log: EvictionLog
    states: tuple[ReplicaState, ...] = ()

    @cached_property
    def ids(self) -> frozenset[UUID]:
        """The ids of the models that are not to be held."""
        return frozenset(state.model_id for state in self.states)


def plan_evictions(models: Collection[DesiredModel], log: EvictionLog, facts: EvictionFacts) -> EvictionPlan:
    """Decide which of the desired models this machine holds.

    Without a budget, all. What was evicted stays so until it is needed, even if there is space again; evictions that
    were not carried out are decided anew. While it is unknown what is needed, or use is not counted, nothing more is
    evicted. A model that is not here and does not fit is not fetched; it is no eviction, and decided anew with each
    plan.
    """
    if facts.budget_bytes is None:
        return EvictionPlan(EvictionLog())
    # Of a machine that gets its first budget, older records are evicted first.
    since = {model.id: facts.now if log.desired_since else model.updated_at for model in models}
    log = log.keep_only(since).bring_back(facts.needed or (), facts.now)
    log = EvictionLog(log.evicted_at, since | log.desired_since)
    chosen: list[BudgetedModel] = []
    if facts.needed is not None and facts.last_uses is not None:
        done = {model_id: at for model_id, at in log.evicted_at.items() if not _is_undone(model_id, facts)}
        held = [_to_budgeted_model(model, log, facts) for model in models if model.id not in done]
        chosen = choose_evicted(held, facts.budget_bytes)
        new = {model.id: log.evicted_at.get(model.id, facts.now) for model in chosen if model.id in facts.here}
        log = EvictionLog(done | new, log.desired_since)
    not_held = {model.id for model in chosen} | log.evicted_at.keys()
    states = tuple(_build_state(model, log, facts) for model in models if model.id in not_held)
    return EvictionPlan(log, states)


def _is_undone(model_id: UUID, facts: EvictionFacts) -> bool:
    """Return whether an evicted model is still here, and can be decided anew."""
    return facts.may_evict_here and model_id in facts.here


def _to_budgeted_model(model: DesiredModel, log: EvictionLog, facts: EvictionFacts) -> BudgetedModel:
    """Return what the rule needs of a model."""
    last_used = (facts.last_uses or {}).get(model.id)
    since = log.desired_since[model.id]
    may_evict = model.id not in (facts.needed or ()) and model.id not in facts.users_own and not model.is_damaged
    # The use of a folder is not counted: nodes name the files in it, or the folder, in many ways.
    may_evict = may_evict and not model.is_folder and (facts.may_evict_here or model.id not in facts.here)
    return BudgetedModel(model.id, model.size, since if last_used is None else max(last_used, since), may_evict)


def _build_state(model: DesiredModel, log: EvictionLog, facts: EvictionFacts) -> ReplicaState:
    """Return the state of a model that is not to be held, with the reason."""
    budget = f"the disk budget of {in_bytes(facts.budget_bytes or 0)}"
    again = "Assign it to this machine to get it."
    if model.id not in log.evicted_at:
        return build_replica_state(
            model, "evicted", reason=f"Not fetched: {budget} is taken by models that were used more recently. {again}"
        )
    last_used = (facts.last_uses or {}).get(model.id)
    used = "no known use" if last_used is None else f"last used on {last_used:%Y-%m-%d}"
    return build_replica_state(
        model,
        "evicted",
        reason=f"Evicted on {log.evicted_at[model.id]:%Y-%m-%d} to stay within {budget}; {used}. {again}",
    )
