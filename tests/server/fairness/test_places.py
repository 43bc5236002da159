"""Places and their queue: limits by person and by team, and the order in which those that wait get a place."""

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.places import Entry, Places
from modelyard.server.fairness.usage import Limits

MANY = Limits(1_000, per_person=1_000, per_team=1_000)


class Work:
    """Work in places, by name; ``granted`` are the names of those that waited, in the order of their places."""

    def __init__(self, places: Limits, queue: Limits = MANY) -> None:
        self.places = Places(places, queue)
        self.granted = list[str]()
        self._entries = dict[str, Entry]()

    def enter(self, name: str, account: Account) -> bool | None:
        """Return whether there is a place; None if there is none in the queue either."""
        entry = self.places.enter(account, lambda: self.granted.append(name))
        if entry is None:
            return None
        self._entries[name] = entry
        return entry.has_place()

    def leave(self, name: str) -> None:
        self.places.leave(self._entries.pop(name))


def test_enter_person_at_limit_waits_in_every_team() -> None:
    work = Work(Limits(10, per_person=2, per_team=2))
    assert [work.enter(team, Account("ada", team)) for team in "abc"] == [True, True, False]
    assert work.enter("other", Account("bob", "c")) is True


def test_enter_team_at_limit_keeps_its_other_people_waiting() -> None:
    work = Work(Limits(10, per_person=2, per_team=2))
    assert [work.enter(person, Account(person, "studio")) for person in ("ada", "bob", "cleo")] == [True, True, False]
    assert work.enter("other", Account("cleo", "own")) is True


def test_enter_all_places_taken_waits() -> None:
    work = Work(Limits(2, per_person=1, per_team=1))
    assert [work.enter(name, Account(name, name)) for name in "abc"] == [True, True, False]
    work.leave("a")
    assert work.granted == ["c"]


def test_enter_full_queue_is_refused_for_that_person_only() -> None:
    work = Work(Limits(1, per_person=1, per_team=1), Limits(10, per_person=1, per_team=10))
    answers = [work.enter(f"{number}", Account("ada", f"{number}")) for number in range(3)]
    assert answers == [True, False, None]
    assert work.enter("other", Account("bob", "own")) is False


def test_enter_without_holders_is_limited_by_the_total_only() -> None:
    work = Work(Limits(2, per_person=1, per_team=1))
    assert [work.enter(name, Account()) for name in "abc"] == [True, True, False]


def test_leave_gives_the_place_to_one_within_its_limits() -> None:
    work = Work(Limits(3, per_person=2, per_team=2))
    for name, person in (("ada-1", "ada"), ("ada-2", "ada"), ("bob-1", "bob"), ("ada-3", "ada"), ("bob-2", "bob")):
        work.enter(name, Account(person, person))
    work.leave("bob-1")
    assert work.granted == ["bob-2"]
    work.leave("ada-1")
    assert work.granted == ["bob-2", "ada-3"]


def test_leave_serves_people_in_turn_however_many_teams_they_have() -> None:
    work = Work(Limits(1, per_person=1, per_team=1))
    work.enter("first", Account("ada", "0"))
    for number in range(1, 4):
        work.enter(f"ada-{number}", Account("ada", f"{number}"))
    for number in range(1, 3):
        work.enter(f"bob-{number}", Account("bob", "own"))
    for name in ("first", "bob-1", "ada-1", "bob-2", "ada-2"):
        work.leave(name)
    assert work.granted == ["bob-1", "ada-1", "bob-2", "ada-2", "ada-3"]


def serve_in_turn(work: Work, count: int, refill: dict[str, Account]) -> list[str]:
    """End the work that began first and enter as much again, so many times; return who was served."""
    running, served = [], list[str]()
    numbers = iter(range(1_000_000))

    def enter(name: str) -> None:
        entry_name = f"{name} {next(numbers)}"
        if work.enter(entry_name, refill[name]):
            running.append(entry_name)

    for name in refill:
        for _ in range(5):
            enter(name)
    for _ in range(count):
        ended = running.pop(0)
        before = len(work.granted)
        work.leave(ended)
        running += work.granted[before:]
        served += [name.partition(" ")[0] for name in work.granted[before:]]
        enter(ended.partition(" ")[0])
    return served


def test_leave_serves_people_of_one_team_in_turn_though_the_queue_of_one_never_ends() -> None:
    refill = {name: Account(name, "studio") for name in ("ada", "bob")}
    served = serve_in_turn(Work(Limits(24, per_person=2, per_team=2)), 40, refill)
    assert abs(served.count("ada") - served.count("bob")) <= 2


def test_leave_serves_teams_of_one_person_in_turn_though_the_queue_of_one_never_ends() -> None:
    refill = {name: Account("ada", name) for name in ("studio", "lab")}
    served = serve_in_turn(Work(Limits(24, per_person=2, per_team=2)), 40, refill)
    assert abs(served.count("studio") - served.count("lab")) <= 2


def test_wait_at_own_limit_saves_up_no_right_to_pass_others() -> None:
    work = Work(Limits(4, per_person=2, per_team=2))
    for number in range(4):
        work.enter(f"flood-{number}", Account("flood", "flood"))
    for number in range(1_000):
        work.enter("passing", Account(f"{number}", f"{number}"))
        work.leave("passing")
    others = {f"other{number}": Account(f"other{number}", f"other{number}") for number in range(10)}
    served = serve_in_turn(work, 400, others | {"flood": Account("flood", "flood")})
    assert served.count("flood") <= 2 * len(served) / 11


def test_leave_1000_that_never_got_a_place_keeps_fewer_than_200_entries() -> None:
    work = Work(Limits(1, per_person=1, per_team=1))
    work.enter("first", Account("ada"))
    for number in range(1_000):
        work.enter("waiting", Account(f"{number}" if number % 2 else "ada"))
        work.leave("waiting")
    places = work.places
    assert len(places._heap) + sum(map(len, places._at_limit.values())) < 200


def test_leave_while_waiting_gives_up_the_wait() -> None:
    work = Work(Limits(1, per_person=1, per_team=1))
    for name in "abc":
        work.enter(name, Account("ada", "studio"))
    work.leave("b")
    work.leave("a")
    assert work.granted == ["c"]


def test_leave_all_keeps_nothing_in_memory() -> None:
    work = Work(Limits(1, per_person=1, per_team=1))
    for name in "abc":
        work.enter(name, Account(name, name))
    for name in "abc":
        work.leave(name)
    places = work.places
    assert (places.running.total, places.waiting.total) == (0, 0)
    assert [each for held in (places.running, places.waiting) for each in (held.people, held.teams) if each] == []
    assert places._queues == {}
