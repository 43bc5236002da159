"""The local API's problems for requests that the registry refused or did not answer."""

from http import HTTPStatus

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.registry.connection import REFUSALS, describe_refusal
from modelyard.transfer.errors import BadResponse, DiskFailed, DiskFull, TransferFailed
from modelyard.wire.problems import AgentUnknown, Problem, Unavailable


def build_registry_problem(failure: Problem | TransferFailed) -> LocalProblem:
    """Build the problem for a failed request of this machine to the registry."""
    if isinstance(failure, REFUSALS):
        text = describe_refusal(failure)
        return LocalProblem(HTTPStatus.BAD_GATEWAY, "registry-refused", "The registry refuses this machine", text)
    if isinstance(failure, Unavailable):
        return build_unreachable_problem(f"The registry cannot answer now: {failure}")
    if isinstance(failure, AgentUnknown):
        text = "The agent is not connected yet. Try again in a moment."
        return LocalProblem(HTTPStatus.SERVICE_UNAVAILABLE, "agent-not-connected", "The agent is not connected", text)
    if isinstance(failure, Problem):
        return LocalProblem(HTTPStatus(failure.status), failure.slug, failure.title, failure.detail)
    if isinstance(failure, DiskFailed | DiskFull):
        return LocalProblem(HTTPStatus.CONFLICT, "file-unreadable", "The file cannot be read", str(failure))
    if isinstance(failure, BadResponse):
        title = "The registry's response is invalid"
        return LocalProblem(HTTPStatus.BAD_GATEWAY, "registry-response-invalid", title, str(failure))
    return build_unreachable_problem(str(failure))


def build_unreachable_problem(detail: str) -> LocalProblem:
    """Build the problem of a registry that does not answer."""
    text = f"{detail} Models that are on this machine can be used meanwhile."
    return LocalProblem(HTTPStatus.SERVICE_UNAVAILABLE, "registry-unreachable", "The registry cannot be reached", text)
