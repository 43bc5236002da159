"""Pushes of files from ComfyUI's models folders, as the user who signed in on this machine."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Hashable, Sequence
from http import HTTPStatus
from typing import Any

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.local_api.push_requests import (
    build_not_logged_in_problem,
    build_push_key,
    build_push_request,
)
from modelyard.agent.local_api.pushing_user import PushingUser
from modelyard.agent.local_api.registry_problems import build_registry_problem
from modelyard.agent.local_api.running_pushes import RunningPush, RunningPushes
from modelyard.agent.local_api.shapes import FilePush, PushedModel, PushedWorkflow, PushProgress, WorkflowPush
from modelyard.agent.local_api.workflow_pushes import WorkflowToPush, push_workflow
from modelyard.agent.status import AgentStatus
from modelyard.client.api.registry import RegistryApi
from modelyard.client.profile import Profile, ProfileFile
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.client.transfers.push import Pusher
from modelyard.client.transfers.push_results import PushSucceeded
from modelyard.comfyui.layout import Install
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import KeyNotAllowed, NotAMember, Problem, SessionEnded, Unauthenticated

# A request answers after this time, while the push goes on.
_ANSWER_SECONDS = 1.0

_Work = Callable[[RegistryApi, Pusher], Awaitable[PushedModel | PushedWorkflow]]


class LocalPushes:
    """The pushes of one agent's users. Belongs to its event loop.

    A push goes on between requests: the same request again tells its progress, and once its result, after which it
    is removed. Then the same request begins anew, which costs little: the team has the content.
    """

    def __init__(
        self, status: AgentStatus, client: ClientSettings, list_installs: Callable[[], Sequence[Install]]
    ) -> None:
        self._url = status.url
        self._client = client
        self._user = PushingUser(status, ProfileFile(client.profile_file))
        self._list_installs = list_installs
        self._pushes = RunningPushes()

    async def find_hint(self) -> str | None:
        """Return why no file can be pushed, and what to do; None if nothing is known to prevent it."""
        problem = await self._user.find_problem()
        return None if problem is None else str(problem)

    async def push_file(self, push: FilePush) -> PushProgress | PushedModel:
        """Begin or continue the push of a file, and return its result, or its progress after a second.

        Requests for the same content of the same model path are about one push, whatever their spelling and note.

        Raises:
            LocalProblem: it failed, or cannot begin.
        """
        request = await asyncio.to_thread(build_push_request, push, self._list_installs())
        key = await asyncio.to_thread(build_push_key, request)
        result = await self._continue(key, lambda _, pusher: _push_one_file(pusher, request))
        assert not isinstance(result, PushedWorkflow)  # noqa: S101 - a file's push has no other result
        return result

    async def push_workflow(self, push: WorkflowPush) -> PushProgress | PushedWorkflow:
        """Begin or continue the push of a workflow; returns and raises as ``push_file``."""
        document = await asyncio.to_thread(_dump, push.workflow)
        workflow = WorkflowToPush(document, push.name, self._list_installs(), push.expected_version, push.replace)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(document).hexdigest())
        key = push.name, push.expected_version, push.replace, digest
        result = await self._continue(key, lambda registry, pusher: push_workflow(registry, pusher, workflow))
        assert not isinstance(result, PushedModel)  # noqa: S101 - a workflow's push has no other result
        return result

    def cancel(self) -> None:
        """Stop all pushes; the next push of the same file continues where it stopped."""
        self._pushes.cancel_all()

    async def _continue(self, key: Hashable, work: _Work) -> PushProgress | PushedModel | PushedWorkflow:
        """Begin the push with this key unless it is running, and return its result, or its progress after a second.

        A push whose result is returned, or whose failure is raised, is removed from the running ones.

        Raises:
            LocalProblem: it failed, or cannot begin.
        """
        push = self._pushes.find(key) or await self._start(key, work)
        task = push.task
        assert task is not None  # noqa: S101 - it is set when the push is added
        await asyncio.wait([task], timeout=_ANSWER_SECONDS)
        if not task.done():
            return push.progress
        self._pushes.remove(key, push)
        try:
            return task.result()
        except (Unauthenticated, SessionEnded, NotAMember):
            raise build_not_logged_in_problem(self._url) from None
        except KeyNotAllowed as refused:
            raise LocalProblem(HTTPStatus(refused.status), refused.slug, refused.title, refused.detail) from None
        except (Problem, TransferFailed) as failure:
            raise build_registry_problem(failure) from None
        except VersionNotCurrent as failure:
            title = "This is an earlier version"
            raise LocalProblem(HTTPStatus.CONFLICT, "version-not-current", title, str(failure)) from None
        except OSError as failure:
            title = "The file cannot be read"
            raise LocalProblem(HTTPStatus.CONFLICT, "file-unreadable", title, str(failure)) from None

    async def _start(self, key: Hashable, work: _Work) -> RunningPush:
        """Begin a push, unless another request began it meanwhile.

        Raises:
            LocalProblem: no user is signed in, or too many pushes are running.
        """
        profile = await self._user.find_profile()
        return self._pushes.find(key) or self._pushes.start(key, lambda push: self._run(profile, work, push))

    async def _run(self, profile: Profile, work: _Work, push: RunningPush) -> PushedModel | PushedWorkflow:
        """Do the work of a push as the profile's user; raises what the work and ``check_team`` raise."""
        async with RegistryApi(profile.url, profile.token) as registry:
            await self._user.check_team(registry)
            pusher = Pusher(registry, self._client, push.report)
            try:
                return await work(registry, pusher)
            finally:
                await pusher.close()


async def _push_one_file(pusher: Pusher, request: PushRequest) -> PushedModel:
    """Push a file, and return the model; raises as ``Pusher.push``."""
    return _build_pushed(await pusher.push(request))


def _build_pushed(result: PushSucceeded) -> PushedModel:
    """Build the local API's view of a pushed file."""
    model = result.model
    return PushedModel(
        outcome=result.outcome,
        id=model.id,
        display_name=model.display_name,
        model_type=model.model_type,
        model_path=model.model_path,
        version=result.version,
    )


def _dump(workflow: dict[str, Any]) -> bytes:
    """Return a workflow as JSON that is not longer than what was sent; half a surrogate pair is kept."""
    return json.dumps(workflow, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
