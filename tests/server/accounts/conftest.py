"""One registry a file."""

from tests.server.people.fixtures import world

__all__ = ["world"]
