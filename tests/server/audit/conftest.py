"""The registry that the tests of this folder share."""

from tests.server.accounts_support.fixtures import registry

__all__ = ["registry"]
