"""The account that a request is charged to."""

from fastapi import Request

from modelyard.server.fairness.accounts import Account
from modelyard.server.http.params import get_client_address

# The team of requests without a credential, such as signing in and pairing.
ANYBODY = "anybody"


def set_account(request: Request, account: Account) -> None:
    """Set the account of a request, once its caller is known."""
    request.state.account = account


def get_account(request: Request) -> Account:
    """Return the account of a request; without a caller, its address, and all such requests together."""
    known: Account | None = getattr(request.state, "account", None)
    return known or Account(get_client_address(request), ANYBODY)
