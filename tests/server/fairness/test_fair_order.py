"""Whose turn is next: equal shares for people and for teams, whatever each asks for."""

from uuid import UUID, uuid4

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.fair_order import FairOrder

A, B, C = (Account(team=uuid4()) for _ in range(3))
Used = dict[UUID | str | None, float]


def sort(order: FairOrder, *waiting: Account) -> list[Account]:
    """Return the accounts that wait, the next one first."""
    order.set_waiting(waiting)
    return sorted(waiting, key=order.get_virtual_time)


def serve(waiting: list[Account], *, rounds: int) -> tuple[Used, Used]:
    """Serve whose turn is next, all of them always waiting; return how often each person and each team was served."""
    order, people, teams = FairOrder(), Used(), Used()
    for _ in range(rounds):
        person, team = served = sort(order, *waiting)[0]
        order.charge(served, 1)
        people[person] = people.get(person, 0) + 1
        teams[team] = teams.get(team, 0) + 1
    return people, teams


def test_order_by_what_was_used() -> None:
    order = FairOrder()
    assert sort(order, A, B) == [A, B]
    order.charge(A, 10)
    order.charge(B, 1)
    assert sort(order, A, B) == [B, A]


def test_order_new_account_starts_at_the_level_of_the_others() -> None:
    order = FairOrder()
    for _ in range(5):
        assert sort(order, A) == [A]
        order.charge(A, 10)
    sort(order, A, B)
    order.charge(B, 11)
    assert sort(order, A, B) == [A, B]


def test_order_absent_account_keeps_what_it_used() -> None:
    order = FairOrder()
    sort(order, A, B)
    order.charge(A, 10)
    assert sort(order, B) == [B]
    assert sort(order, A, B) == [B, A]


def test_order_many_new_accounts_neither_starve_one_nor_use_memory() -> None:
    order, first_count = FairOrder(), 0
    sort(order, C)
    order.charge(C, 2)
    for _ in range(1_000):
        first = sort(order, Account(team=uuid4()), C)[0]
        order.charge(first, 1)
        first_count += first == C
    assert first_count > 300
    assert len(order._teams.used) < 200


def test_charge_while_nobody_waits_uses_no_memory() -> None:
    order = FairOrder()
    for _ in range(100):
        order.charge(Account(uuid4(), uuid4()), 1)
    assert (len(order._people.used), len(order._teams.used), len(order._served)) == (1, 1, 1)


def test_end_wait_of_many_that_were_not_served_uses_no_memory() -> None:
    order = FairOrder()
    order.begin_wait(A)
    for number in range(1_000):
        order.begin_wait(Account(f"{number}"))
        order.end_wait(Account(f"{number}"))
    assert (len(order._people.used), len(order._teams.used)) == (1, 1)


def test_order_unequal_costs_share_time_equally() -> None:
    order, used = FairOrder(), {A: 0.0, B: 0.0, C: 0.0}
    costs = {A: 10.0, B: 1.0, C: 0.1}
    while max(used.values()) < 200:
        account = sort(order, *costs)[0]
        order.charge(account, costs[account])
        used[account] += costs[account]
    assert min(used.values()) > 180


def test_order_person_with_forty_teams_gets_as_much_as_one_with_one() -> None:
    people, _ = serve([*(Account("many", f"{n}") for n in range(40)), Account("one", "own")], rounds=200)
    assert people == {"many": 100, "one": 100}


def test_order_team_with_forty_people_gets_as_much_as_one_with_one() -> None:
    _, teams = serve([*(Account(f"{n}", "large") for n in range(40)), Account("one", "own")], rounds=200)
    assert teams == {"large": 100, "own": 100}


def test_order_people_of_one_team_take_turns_and_so_do_teams_of_one_person() -> None:
    accounts = [Account("ada", "studio"), Account("bob", "studio"), Account("ada", "lab")]
    order, served = FairOrder(), list[Account]()
    for _ in range(6):
        served.append(sort(order, *accounts)[0])
        order.charge(served[-1], 1)
    assert {account: served.count(account) for account in accounts} == dict.fromkeys(accounts, 2)


def test_order_new_account_beside_teams_whose_people_are_not_known_waits_its_turn() -> None:
    old = [Account(team=f"{number}") for number in range(10)]
    order, new = FairOrder(), Account("new", "own")
    for _ in range(1_000):
        order.charge(sort(order, *old, Account("known", "known"))[0], 1)
    served = 0
    while sort(order, new, *old, Account("known", "known"))[0] != new:
        order.charge(sort(order, new, *old, Account("known", "known"))[0], 1)
        served += 1
    assert served <= 12


def test_order_new_account_beside_large_team_and_person_with_many_teams_waits_its_turn() -> None:
    order, served = FairOrder(), list[str]()
    waiting = [Account("many", f"{n}") for n in range(40)] + [Account(f"{n}", "large") for n in range(40)]
    for _ in range(400):
        order.charge(sort(order, *waiting)[0], 1)
    waiting.append(Account("new", "own"))
    for _ in range(30):
        account = sort(order, *waiting)[0]
        order.charge(account, 1)
        served.append("new" if account.person == "new" else "many" if account.person == "many" else "large")
    assert {name: served.count(name) for name in ("new", "many", "large")} == {"new": 10, "many": 10, "large": 10}
