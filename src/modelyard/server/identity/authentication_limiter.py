"""Limit of the threads that check credentials, which people share equally, however many credentials they send."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import UNLIMITED, Limits
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.identity import keys
from modelyard.wire.problems import Unauthenticated

# Threads wait for the interpreter's lock in no order: with 40 that check one caller's burst, another caller's request
# takes 100 ms (bench/neighbours).
AUTHENTICATION_THREADS = Limits(16, per_person=2, per_team=2)
# About 450 bytes each.
MAX_REMEMBERED_CREDENTIALS = 20_000


class HasAccount(Protocol):
    """A caller, with the account that its requests are charged to."""

    @property
    def account(self) -> Account: ...


Authenticated = TypeVar("Authenticated", bound=HasAccount)


class AuthenticationLimiter:
    """Runs checks of credentials in a limited number of threads. Belongs to one event loop.

    A check is charged to the account that the credential had when it was accepted last, which decides about nothing but
    the order. An unknown credential, or one that was refused since, is a person in the team of its client's address.
    """

    def __init__(self, max_remembered: int = MAX_REMEMBERED_CREDENTIALS) -> None:
        # Each check that waits has a connection of its own, and these are limited.
        self._limiter = OperationLimiter(AUTHENTICATION_THREADS, queue=UNLIMITED)
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._max_remembered = max_remembered

    async def run(self, token: str, address: str, check: Callable[[], Authenticated]) -> Authenticated:
        """Run the check of a credential in a thread, and return the caller; its account is charged for the next checks.

        Until the account is known, the credential and the address are charged.

        Raises:
            Unauthenticated: the check raised it; from then on the credential is not charged to its account.
            Unavailable: no thread became free in time.
        """
        digest = keys.digest(token)
        try:
            caller = await self._limiter.run(self._accounts.get(digest) or Account(digest, address), check)
        except Unauthenticated:
            self._accounts.pop(digest, None)
            raise
        self._remember(digest, caller.account)
        return caller

    def _remember(self, digest: str, account: Account) -> None:
        self._accounts[digest] = account
        self._accounts.move_to_end(digest)
        if len(self._accounts) > self._max_remembered:
            self._accounts.popitem(last=False)
