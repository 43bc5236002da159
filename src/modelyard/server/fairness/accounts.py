"""The accounts that work is charged to."""

from typing import NamedTuple
from uuid import UUID

# A person or a team; where no user is known, what else tells callers apart, such as an unverified credential.
Holder = UUID | str


class Account(NamedTuple):
    """A person, in all of their teams, and a team, with all of its people: work is charged to both.

    ``person`` is the id of a user, also for a key that the user is responsible for. Nothing is charged to None.
    """

    person: Holder | None = None
    team: Holder | None = None
