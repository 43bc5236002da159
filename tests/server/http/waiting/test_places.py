"""Places of waiting requests: the limits of one caller, of one team, and of all."""

import logging
from contextlib import ExitStack

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.http.waiting.places import PLACES_PER_CALLER, WaitingPlaces, build_waiting_places

STUDIO, FARM, LAB = (Account(f"{name} admin", name) for name in ("studio", "farm", "lab"))


class Waiting(ExitStack):
    """Requests that wait until the block ends."""

    def __init__(self, places: WaitingPlaces) -> None:
        super().__init__()
        self._places = places

    def add(self, account: Account, caller: object) -> bool:
        """Add a request, and return whether it has a place."""
        return self.enter_context(self._places.take(account, caller))

    def fill(self, account: Account) -> int:
        """Add one request for each of many machines of a team; return how many have a place."""
        return sum(self.add(account, (account, number)) for number in range(2 * self._places.usage.limits.total))


def build_places(total: int) -> WaitingPlaces:
    return build_waiting_places(2 * total)


def test_take_third_place_of_a_caller_is_refused_and_disturbs_no_other_caller() -> None:
    with Waiting(build_places(100)) as waiting:
        assert [waiting.add(STUDIO, "key-1, machine 7") for _ in range(3)] == [True, True, False]
        assert waiting.add(STUDIO, "key-1, machine 8")
        assert waiting.add(STUDIO, "key-2, machine 7")


def fail_while_waiting(places: WaitingPlaces) -> None:
    with places.take(STUDIO, "machine") as has_place:
        assert has_place
        raise KeyError


def test_place_is_free_again_after_the_block_and_after_an_error() -> None:
    places = build_places(100)
    for _ in range(PLACES_PER_CALLER + 1):
        with pytest.raises(KeyError):
            fail_while_waiting(places)
    assert places.usage.total == 0


def test_refused_request_frees_no_place_of_others() -> None:
    places = build_places(100)
    with Waiting(places) as waiting:
        waiting.add(STUDIO, "machine")
        waiting.add(STUDIO, "machine")
        with places.take(STUDIO, "machine") as has_place:
            assert not has_place
        assert places.usage.total == 2


@pytest.mark.parametrize(("total", "of_one_team"), [(4096, 3072), (206, 154), (8, 6), (2, 1), (1, 1), (0, 0)], ids=str)
def test_one_team_gets_three_quarters_of_the_places(total: int, of_one_team: int) -> None:
    with Waiting(build_places(total)) as waiting:
        assert waiting.fill(STUDIO) == of_one_team


def test_one_person_gets_three_quarters_of_the_places_in_all_teams_together() -> None:
    with Waiting(build_places(200)) as waiting:
        assert waiting.fill(STUDIO) + waiting.fill(STUDIO._replace(team="another")) == 150
        assert waiting.fill(LAB) == 50


def test_all_places_together_are_half_of_the_connections() -> None:
    places = build_waiting_places(412)
    with Waiting(places) as waiting:
        assert [waiting.fill(account) for account in (STUDIO, FARM, LAB)] == [154, 52, 0]
        assert places.usage.total == places.usage.limits.total == 206


def test_team_without_a_place_is_logged_once_a_minute_and_a_caller_without_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "modelyard.http"), Waiting(build_places(8)) as waiting:
        for _ in range(5):
            waiting.add(STUDIO, "machine")
        assert not caplog.records
        waiting.fill(STUDIO)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["too many machines wait for changes"]
