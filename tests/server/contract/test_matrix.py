"""Who may do what: section 2 of the contract, written out by hand for every route and every kind of caller.

y  passes, and answers what stands before the grid
1  401   3  403   4  404   v  422 for a missing header's sake: 400
.  not asked: the caller would lose what later rows need
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from tests.server.contract.cast import CALLERS, Cast
from tests.server.world import World


@dataclass(frozen=True)
class Row:
    """One operation, on one kind of object, for every caller."""

    operation: str
    passes: int
    grid: str
    of: str = ""

    @property
    def name(self) -> str:
        return f"{self.operation} {self.of}".strip()

    def expected(self, caller: str) -> int | None:
        mark = self.grid.split()[CALLERS.index(caller)]
        return {"y": self.passes, "1": 401, "3": 403, "4": 404, "h": 400, ".": None}[mark]
