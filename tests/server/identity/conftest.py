"""One registry for this folder."""

from tests.server.people.fixtures import world

__all__ = ["world"]
