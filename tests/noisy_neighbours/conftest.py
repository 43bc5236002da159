"""One registry for the tests of a module, in a process of its own."""

from tests.attacks.conftest import environments, server

__all__ = ["environments", "server"]
