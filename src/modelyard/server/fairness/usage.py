"""How much is in use, within limits. Not safe for threads."""

import sys
from dataclasses import dataclass, replace

from modelyard.server.fairness.accounts import Account, Holder

# A person or a team.
HolderKey = tuple[str, Holder]


@dataclass(frozen=True)
class Limits:
    """How much may be held in all, and of that by one person and by one team."""

    total: int
    per_person: int
    per_team: int


# Where something else limits it.
UNLIMITED = Limits(sys.maxsize, per_person=sys.maxsize, per_team=sys.maxsize)


def count_all_but_one(workers: int) -> int:
    """Return how many of a process's workers may do the same at the same time: not all of several, nor none of one."""
    return max(workers - 1, 1)


def build_worker_limits(workers: int) -> Limits:
    """Build the limits of a process's workers: one person, and one team, leave one of several to the others.

    It serves these even if all that the person or team has begun stalls.
    """
    most = count_all_but_one(workers)
    return replace(UNLIMITED, per_person=most, per_team=most)


class Usage:
    """What is in use at the moment, such as places or bytes: in all, by each person and by each team."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = 0
        self.people: dict[Holder | None, int] = {}
        self.teams: dict[Holder | None, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether no account can have more."""
        return self.total >= self.limits.total

    def find_reached_limit(self, account: Account) -> HolderKey | None:
        """Return the person or team of an account that can have no more; None if neither is at its limit."""
        limits, (person, team) = self.limits, account
        if person is not None and self.people.get(person, 0) >= limits.per_person:
            return "person", person
        if team is not None and self.teams.get(team, 0) >= limits.per_team:
            return "team", team
        return None

    @staticmethod
    def list_keys(account: Account) -> list[HolderKey]:
        """Return what ``find_reached_limit`` may return for an account."""
        kinds = ("person", "team")
        return [(kind, holder) for kind, holder in zip(kinds, account, strict=True) if holder is not None]

    def fits(self, account: Account, amount: int = 1) -> bool:
        """Return whether so much more is within all limits."""
        person, team = account
        return (
            self.total + amount <= self.limits.total
            and (person is None or self.people.get(person, 0) + amount <= self.limits.per_person)
            and (team is None or self.teams.get(team, 0) + amount <= self.limits.per_team)
        )

    def add(self, account: Account, amount: int = 1) -> None:
        """Count so much more as held by the person and the team; ``amount`` may be negative."""
        self.total += amount
        for held, holder in zip((self.people, self.teams), account, strict=True):
            count = held.get(holder, 0) + amount
            if count:
                held[holder] = count
            else:
                # Those that hold nothing take no memory.
                held.pop(holder, None)

    def remove(self, account: Account, amount: int = 1) -> None:
        """Count so much less as held by the person and the team."""
        self.add(account, -amount)


def fits_last_worker(usage: Usage, account: Account, workers: int) -> bool:
    """Return whether a process that has ``usage`` running may begin work of an account in one more of its workers.

    The last free one of several is only for a person and team of which nothing runs: what others have begun may stall.
    """
    is_last = workers > 1 and usage.total >= workers - 1
    held = (usage.people.get(account.person), usage.teams.get(account.team))
    return not is_last or all(holder is None or not count for holder, count in zip(account, held, strict=True))
