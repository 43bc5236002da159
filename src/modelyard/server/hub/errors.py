"""Problems with the headers from which clients of Hugging Face take the kind and the message of an error."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from modelyard.server.http.api_route import ApiRoute
from modelyard.server.http.problems import build_response
from modelyard.wire import problems
from modelyard.wire.problems import Problem

_CODES: dict[type[Problem], str] = {
    problems.RepositoryNotFound: "RepoNotFound",
    problems.RepositoryRevisionNotFound: "RevisionNotFound",
    problems.RepositoryFileNotFound: "EntryNotFound",
    problems.SourceRestricted: "GatedRepo",
}
# The message by which clients tell a wrong token from a repository that they may not see.
_WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - a message


class HubRoute(ApiRoute):
    """A route whose problems have the headers ``X-Error-Code`` and ``X-Error-Message``.

    It takes unknown query parameters: clients send those of all kinds of repositories.
    """

    refuses_unknown_parameters = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the API's routes, with problems as responses that have these headers."""
        handle = super().get_route_handler()

        async def handle_problems(request: Request) -> Response:
            """Handle a request; respond with a problem if there is one."""
            try:
                return await handle(request)
            except Problem as problem:
                response = build_response(request, problem)
                response.headers.update(_build_headers(request, problem))
                return response

        return handle_problems


def _build_headers(request: Request, problem: Problem) -> dict[str, str]:
    """Return the headers of a problem for clients of Hugging Face."""
    is_wrong_token = isinstance(problem, problems.Unauthenticated) and "authorization" in request.headers
    message = _WRONG_TOKEN if is_wrong_token else problem.detail
    headers = {"X-Error-Message": " ".join(message.encode("ascii", "replace").decode().split())}
    if type(problem) in _CODES:
        headers["X-Error-Code"] = _CODES[type(problem)]
    if isinstance(problem, problems.RepositoryFileNotFound):
        headers["X-Repo-Commit"] = str(problem.facts["revision"])
    if isinstance(problem, problems.MethodNotAllowed):
        headers["Allow"] = "GET, HEAD"
    return headers
