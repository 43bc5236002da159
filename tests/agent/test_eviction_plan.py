"""What an agent evicts for its disk budget, what stays evicted, and what comes back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.agent.use.eviction_log import EvictionLog, read_eviction_log, write_eviction_log
from modelyard.agent.use.eviction_plan import EvictionFacts, EvictionPlan, plan_evictions
from modelyard.sync.desired import DesiredModel

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=300)
INK, OIL, PEN = (UUID(int=number) for number in (1, 2, 3))


def build_model(model_id: UUID, size: int = 10) -> DesiredModel:
    path = f"loras/{model_id.int}.safetensors"
    return DesiredModel(model_id, 1, path, "loras", size, "0" * 64, False, LONG_AGO, path)


MODELS = [build_model(INK), build_model(OIL), build_model(PEN)]
USES = {INK: NOW - timedelta(days=90), OIL: NOW - timedelta(days=60), PEN: NOW - timedelta(days=1)}
FACTS = EvictionFacts(NOW, 20, frozenset(), USES, here={INK, OIL, PEN})
OLD = EvictionLog({}, dict.fromkeys([INK, OIL, PEN], LONG_AGO))


def list_not_held(plan: EvictionPlan) -> dict[UUID, str]:
    """Return the first word of the reason of each model that is not held."""
    return {state.model_id: (state.reason or "").split()[0] for state in plan.states}


def test_plan_evicts_least_recently_used_model_and_says_why() -> None:
    plan = plan_evictions(MODELS, OLD, FACTS)
    assert plan.log.evicted_at == {INK: NOW}
    [state] = plan.states
    assert (state.model_id, state.state, state.version) == (INK, "evicted", 1)
    assert state.reason == (
        "Evicted on 2026-11-27 to stay within the disk budget of 20 B; last used on 2026-08-29. Assign it to this "
        "machine to get it."
    )


@pytest.mark.parametrize(
    ("facts", "not_held"),
    [
        (replace(FACTS, budget_bytes=30), {}),
        (replace(FACTS, needed={INK}), {OIL: "Evicted"}),
        (replace(FACTS, needed={INK, OIL, PEN}), {}),
        (replace(FACTS, users_own={INK}, here={OIL, PEN}), {OIL: "Evicted"}),
        (replace(FACTS, needed=None), {}),
        (replace(FACTS, last_uses=None), {}),
        (replace(FACTS, here={OIL, PEN}), {INK: "Not"}),
        (replace(FACTS, may_evict_here=False), {}),
        (replace(FACTS, may_evict_here=False, here={INK, OIL}), {PEN: "Not"}),
        (replace(FACTS, may_evict_here=False, here={INK}, users_own={OIL}, needed={PEN}), {}),
        (replace(FACTS, budget_bytes=10), {INK: "Evicted", OIL: "Evicted"}),
        (replace(FACTS, budget_bytes=None), {}),
    ],
    ids=[
        "fits",
        "needed",
        "all needed",
        "user's own file",
        "queue unknown",
        "use not counted",
        "not here",
        "nothing here may be evicted",
        "only what is not here",
        "not here, but needed",
        "two",
        "no budget",
    ],
)
def test_plan_returns_which_models_are_not_held_and_whether_they_were_evicted(
    facts: EvictionFacts, not_held: dict[UUID, str]
) -> None:
    assert list_not_held(plan_evictions(MODELS, OLD, facts)) == not_held


def test_plan_model_that_does_not_fit_and_was_never_here_is_decided_anew() -> None:
    first = plan_evictions(MODELS, OLD, replace(FACTS, here={OIL, PEN}))
    assert first.log.evicted_at == {}
    assert list_not_held(plan_evictions(MODELS, first.log, replace(FACTS, budget_bytes=30))) == {}


def test_plan_evicted_model_stays_evicted_when_there_is_space_again() -> None:
    log = plan_evictions(MODELS, OLD, FACTS).log
    later = replace(FACTS, now=NOW + timedelta(days=5), budget_bytes=1000, here={OIL, PEN})
    plan = plan_evictions(MODELS, log, later)
    assert (list_not_held(plan), plan.log) == ({INK: "Evicted"}, log)
    assert list_not_held(plan_evictions(MODELS, log, replace(later, needed=None, last_uses=None))) == {INK: "Evicted"}


def test_plan_evicted_model_that_is_needed_comes_back_and_is_recent() -> None:
    log = plan_evictions(MODELS, OLD, FACTS).log
    returned = plan_evictions(MODELS, log, replace(FACTS, needed={INK}, here={OIL, PEN}))
    assert list_not_held(returned) == {OIL: "Evicted"}
    # It is not evicted again as soon as the prompt has ended, although its last known use is the earliest.
    after = replace(FACTS, now=NOW + timedelta(hours=1), here={INK, PEN})
    assert list_not_held(plan_evictions(MODELS, returned.log, after)) == {OIL: "Evicted"}


def test_plan_eviction_that_was_not_carried_out_is_decided_anew() -> None:
    log = plan_evictions(MODELS, OLD, FACTS).log
    later = replace(FACTS, now=NOW + timedelta(hours=1))
    assert plan_evictions(MODELS, log, later).log == log
    assert plan_evictions(MODELS, log, replace(later, may_evict_here=False)).log == log
    corrected = plan_evictions(MODELS, log, replace(later, budget_bytes=30))
    assert (corrected.log.evicted_at, corrected.states) == ({}, ())


def test_plan_without_budget_ends_all_evictions() -> None:
    log = plan_evictions(MODELS, OLD, FACTS).log
    assert plan_evictions(MODELS, log, replace(FACTS, budget_bytes=None)) == EvictionPlan(EvictionLog())


def test_plan_model_that_was_not_desired_for_a_while_is_fetched_again() -> None:
    log = plan_evictions(MODELS, OLD, FACTS).log
    without = plan_evictions(MODELS[1:], log, FACTS)
    assert without.log.evicted_at == {}
    assert INK not in plan_evictions(MODELS, without.log, replace(FACTS, budget_bytes=30)).ids


def test_plan_new_model_without_use_evicts_an_old_one() -> None:
    new = build_model(UUID(int=9))
    plan = plan_evictions([*MODELS, new], OLD, replace(FACTS, budget_bytes=30))
    assert list_not_held(plan) == {INK: "Evicted"}


def test_plan_first_budget_evicts_the_oldest_records_first() -> None:
    models = [replace(model, updated_at=LONG_AGO - timedelta(days=model.id.int)) for model in MODELS]
    plan = plan_evictions(models, EvictionLog(), replace(FACTS, last_uses={}))
    assert list_not_held(plan) == {PEN: "Evicted"}


def test_plan_repeated_changes_nothing() -> None:
    plan = plan_evictions(MODELS, OLD, FACTS)
    again = plan_evictions(MODELS, plan.log, replace(FACTS, now=NOW + timedelta(minutes=10), here={OIL, PEN}))
    assert (again.log, again.states) == (plan.log, plan.states)


def test_eviction_log_is_restored_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "agent" / "evictions.json"
    file.parent.mkdir()
    log = EvictionLog({INK: NOW}, {OIL: LONG_AGO})
    write_eviction_log(file, log)
    assert read_eviction_log(file) == log


@pytest.mark.parametrize("content", [b"", b"[]", b'{"evicted_at": {"x": 1}}', b"\xff"], ids=repr)
def test_eviction_log_damaged_file_is_empty(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "evictions.json"
    file.write_bytes(content)
    assert read_eviction_log(file) == EvictionLog()
    assert read_eviction_log(tmp_path / "absent.json") == EvictionLog()
