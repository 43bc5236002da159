"""What tests read of an answer, whichever HTTP library made it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Answer(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


def refusal(answer: Answer) -> tuple[int, str | None, dict[str, Any]]:
    """All that a caller learns from a refusal, but for the request's own id."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, answer.headers.get("www-authenticate"), body
