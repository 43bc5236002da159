"""The workers' time is shared equally between teams: one team's backlog does not delay another."""

import pytest

from modelyard.server.verification.blob_leases import list_waiting_accounts
from tests.server.harness import make_model_file
from tests.server.verification.test_workers import get_store, run_verifier
from tests.server.verification.unverified_team import UnverifiedTeam
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize("is_other_person", [True, False], ids=["of another person", "of the same person"])
def test_verify_backlog_of_one_team_lets_files_of_other_teams_pass(
    unverified: UnverifiedTeam, is_other_person: bool
) -> None:
    registry = unverified.registry
    other = registry.create_other_team() if is_other_person else registry.create_team()
    backlog = [unverified.register(make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(5)]
    unverified.verify()
    late_model = unverified.register(make_model_file("late"), owner=other)
    for _ in range(2):
        unverified.verify()
    assert other.get(f"/models/{late_model}").json()["verification"] == "verified"
    assert [unverified.state(model_id) for model_id in backlog].count("pending") >= 3


def test_verify_backlogs_of_one_person_in_many_teams_let_a_file_of_another_person_pass(
    unverified: UnverifiedTeam,
) -> None:
    teams = [unverified.owner, *(unverified.registry.create_team() for _ in range(4))]
    for number, team in enumerate(teams):
        for file in range(2):
            unverified.register(make_model_file(f"{number} {file}"), f"loras/{file}.safetensors", owner=team)
    unverified.verify()
    other = unverified.registry.create_other_team()
    late_model = unverified.register(make_model_file("late"), owner=other)
    for _ in range(2):
        unverified.verify()
    assert other.get(f"/models/{late_model}").json()["verification"] == "verified"


def test_verify_files_of_a_key_count_to_the_person_who_made_it(unverified: UnverifiedTeam) -> None:
    keys = [unverified.registry.create_key("integration", unverified.registry.create_team()) for _ in range(2)]
    for number, key in enumerate(keys):
        unverified.register(make_model_file(f"{number}"), owner=key)
    unverified.register()
    waiting = list_waiting_accounts(unverified.resources.database)
    assert len(waiting) == 3
    assert {f"{account.person}" for account in waiting} == {unverified.owner.user_id}


@pytest.mark.parametrize("teams", [1, 3])
def test_verify_person_with_stalled_reads_leaves_one_thread_for_others(faulty: UnverifiedTeam, teams: int) -> None:
    store, other = get_store(faulty), faulty.registry.create_other_team()
    owners = [faulty.owner, *(faulty.registry.create_team() for _ in range(teams - 1))]
    stalled = [
        (owners[n % teams], faulty.register(make_model_file(f"{n}"), f"loras/{n}.safetensors", owner=owners[n % teams]))
        for n in range(6)
    ]
    store.stalling |= {str(owner.team_id) for owner in owners}
    verifier = faulty.new_verifier(workers=3)
    with run_verifier(verifier, 2):
        assert all(store.stalled.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))
        assert verifier.verify_next() is False, "The last thread took a third blob of one person."
        for number in range(3):
            model_id = faulty.register(make_model_file(f"other {number}"), f"loras/{number}.safetensors", owner=other)
            assert verifier.verify_next() is True
            assert other.get(f"/models/{model_id}").json()["verification"] == "verified"
        store.release.set()
    assert {owner.get(f"/models/{model}").json()["verification"] for owner, model in stalled} == {"verified"}
