"""As which user files are pushed, and what the registry says of that user."""

import asyncio
import time
from http import HTTPStatus

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.local_api.push_requests import build_not_logged_in_problem, find_device_profile
from modelyard.agent.status import AgentStatus, TeamFacts
from modelyard.client.api.registry import RegistryApi
from modelyard.client.profile import Profile, ProfileFile
from modelyard.comfyui.quoting import quoted
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.accounts import Me
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import NotAMember, Problem, SessionEnded, Unauthenticated

# The registry is asked who is signed in at most so often for the status.
_USER_SECONDS = 60.0
_ANSWER_SECONDS = 5.0


class PushingUser:
    """The user who signed in on this machine. Belongs to the event loop of the agent."""

    def __init__(self, status: AgentStatus, profiles: ProfileFile) -> None:
        self._status = status
        self._profiles = profiles
        self._problem: LocalProblem | None = None
        self._asked: tuple[str, TeamFacts] | None = None  # for whose token and which team ``_problem`` is the answer
        self._asked_at = 0.0

    async def find_profile(self) -> Profile:
        """Return the profile of the user.

        Raises:
            LocalProblem: no user is signed in.
        """
        return await asyncio.to_thread(find_device_profile, self._profiles, self._status.url)

    async def find_problem(self) -> LocalProblem | None:
        """Return why the user cannot push; None if nothing is known to prevent it.

        The registry is asked at most once a minute.
        """
        try:
            profile = await self.find_profile()
        except LocalProblem as problem:
            return problem
        asked, moment = (profile.token, self._status.team_facts), time.monotonic()
        if asked == self._asked and moment < self._asked_at + _USER_SECONDS:
            return self._problem
        if self._status.connection.is_up:
            self._asked, self._asked_at = asked, moment
            self._problem = await self._ask_for_problem(profile)
        return self._problem if asked == self._asked else None

    async def check_team(self, registry: RegistryApi) -> None:
        """Check that the user whose key ``registry`` uses pushes to the team of this machine.

        Raises:
            LocalProblem: it is another team.
            Problem, TransferFailed: the registry refused the key, or did not answer.
        """
        if problem := self._find_team_problem(await registry.me()):
            raise problem

    async def _ask_for_problem(self, profile: Profile) -> LocalProblem | None:
        """Ask the registry for the user; None if the user may push, or the registry does not answer in time."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), RegistryApi(profile.url, profile.token) as registry:
                me = await registry.me()
        except (Unauthenticated, SessionEnded, NotAMember):
            return build_not_logged_in_problem(self._status.url)
        except (Problem, TransferFailed, TimeoutError):
            return None
        return self._find_team_problem(me) or _find_role_problem(me)

    def _find_team_problem(self, me: Me) -> LocalProblem | None:
        """Return the problem of a user who pushes to another team; None before the agent knows its machine's team."""
        facts, url = self._status.team_facts, self._status.url
        other = next((team for team in me.team_list if facts.team_id not in (None, team.id)), None)
        if other is None:
            return None
        own_name = quoted(facts.team_name or str(facts.team_id))
        text = (
            f"{me.display_name} is signed in to push to the team {quoted(other.display_name)}, but this machine "
            f"belongs to {own_name}. Run this on the machine, as the user of its agent, and confirm it in {own_name}: "
            f"modelyard login {url} --device"
        )
        return LocalProblem(HTTPStatus.CONFLICT, "other-team", "The machine belongs to another team", text)


def _find_role_problem(me: Me) -> LocalProblem | None:
    """Return the problem of a user who may only read in the team of the device key. Pure."""
    if not any(team.member_role is Role.VIEWER for team in me.team_list):
        return None
    text = f"{me.display_name} is signed in on this machine, and may not push as a viewer. Ask an admin of the team."
    return LocalProblem(HTTPStatus.FORBIDDEN, "role-too-low", "Your role does not allow this", text)
