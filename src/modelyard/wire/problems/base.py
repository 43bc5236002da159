"""The base class of all problems, and the problem of an unexpected error."""

from typing import Any, ClassVar


class Problem(Exception):
    """A failure that a caller can act on. Sent as RFC 9457; the client raises the same class again."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error of the registry"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    def to_json(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the RFC 9457 body, with the source API's ``error_message`` and with ``error_code`` added."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "error_message": self.detail,
            "error_code": self.slug.replace("-", "_"),
        }
        if request_id is not None:
            body["request_id"] = request_id
        # Facts must not overwrite the standard members.
        return body | {name: value for name, value in self.facts.items() if name not in body}


class InternalError(Problem):
    """An unexpected error. Details are only in the server's log, under the request id."""
