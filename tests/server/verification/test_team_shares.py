"""The workers' time is shared equally between teams: one team's backlog does not delay another."""

from uuid import uuid4

from modelyard.server.verification.team_shares import TeamShares
from tests.server.harness import make_model_file
from tests.server.verification.test_workers import get_store, run_verifier
from tests.server.verification.unverified_team import UnverifiedTeam
from tests.waiting import PATIENCE_SECONDS

A, B, C = uuid4(), uuid4(), uuid4()


def test_verify_backlog_of_one_team_lets_files_of_other_teams_pass(unverified: UnverifiedTeam) -> None:
    other = unverified.registry.create_team()
    backlog = [unverified.register(make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(5)]
    unverified.verify()
    late_model = unverified.register(make_model_file("late"), owner=other)
    for _ in range(2):
        unverified.verify()
    assert other.get(f"/models/{late_model}").json()["verification"] == "verified"
    assert [unverified.state(model_id) for model_id in backlog].count("pending") >= 3


def test_verify_team_with_stalled_reads_leaves_one_thread_for_others(faulty: UnverifiedTeam) -> None:
    store, other = get_store(faulty), faulty.registry.create_team()
    stalled = [faulty.register(make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(6)]
    store.stalling.add(str(faulty.owner.team_id))
    verifier = faulty.new_verifier(workers=3)
    with run_verifier(verifier, 2):
        assert all(store.stalled.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))
        assert verifier.verify_next() is False, "The last thread took a third blob of one team."
        for number in range(3):
            model_id = faulty.register(make_model_file(f"other {number}"), f"loras/{number}.safetensors", owner=other)
            assert verifier.verify_next() is True
            assert other.get(f"/models/{model_id}").json()["verification"] == "verified"
        store.release.set()
    assert {faulty.state(model_id) for model_id in stalled} == {"verified"}


def test_order_teams_by_used_time() -> None:
    shares = TeamShares()
    assert shares.order_teams([A, B]) == [A, B]
    shares.charge(A, 10)
    shares.charge(B, 1)
    assert shares.order_teams([A, B]) == [B, A]


def test_order_teams_new_team_starts_at_the_level_of_the_others() -> None:
    shares = TeamShares()
    for _ in range(5):
        assert shares.order_teams([A]) == [A]
        shares.charge(A, 10)
    shares.order_teams([A, B])
    shares.charge(B, 11)
    assert shares.order_teams([A, B]) == [A, B]


def test_order_teams_absent_team_keeps_its_used_time() -> None:
    shares = TeamShares()
    shares.order_teams([A, B])
    shares.charge(A, 10)
    assert shares.order_teams([B]) == [B]
    assert shares.order_teams([A, B]) == [B, A]


def test_order_teams_many_new_teams_neither_starve_a_team_nor_use_memory() -> None:
    shares, first_count = TeamShares(), 0
    shares.order_teams([C])
    shares.charge(C, 2)
    for _ in range(100):
        team = uuid4()
        first = shares.order_teams([team, C])[0]
        shares.charge(first, 1)
        first_count += first == C
    assert first_count > 30
    assert len(shares._used) < 10


def test_order_teams_shares_simulated_time_equally() -> None:
    shares, used = TeamShares(), {A: 0.0, B: 0.0, C: 0.0}
    costs = {A: 10.0, B: 1.0, C: 0.1}
    while max(used.values()) < 200:
        team = shares.order_teams(list(costs))[0]
        shares.charge(team, costs[team])
        used[team] += costs[team]
    assert min(used.values()) > 180
