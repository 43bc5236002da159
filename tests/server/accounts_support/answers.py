"""Comparison of refusals, for responses of any HTTP library."""

from collections.abc import Mapping
from typing import Any, Protocol


class Answer(Protocol):
    """A response of any HTTP library."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


def refusal(answer: Answer) -> tuple[int, str | None, dict[str, Any]]:
    """Return everything that a refusal tells its caller: status, header and body without the request id."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, answer.headers.get("www-authenticate"), body
