"""A row of the permission matrix."""

from dataclasses import dataclass

from tests.server.contract.callers import CALLERS

UNVERSIONED = ("/healthz", "/readyz", "/metrics", "/docs", "/hf/")


@dataclass(frozen=True)
class Row:
    """The expected status of an operation on a kind of target, for every caller; ``{}`` in the path is the target's."""

    operation: str
    passes: int
    grid: str
    on: str = ""
    body: str = ""

    @property
    def method(self) -> str:
        return self.operation.split()[0]

    @property
    def path(self) -> str:
        """The complete path; paths outside of the API have no version prefix."""
        path = self.operation.split()[1]
        return path if path.startswith(UNVERSIONED) else f"/api/v1{path}"

    def expected(self) -> dict[str, int]:
        meaning = {"y": self.passes, "1": 401, "3": 403, "4": 404}
        return {caller: meaning[mark] for caller, mark in zip(CALLERS, self.grid.split(), strict=True)}
