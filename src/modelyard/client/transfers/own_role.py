"""Whether the user's role in the team allows a push, before anything is sent."""

import asyncio

from modelyard.client.api.registry import RegistryApi
from modelyard.wire.accounts import Me
from modelyard.wire.models import Model
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import NEEDS_ROLE, ONLY_OWN_MODELS, KeyNotAllowed, RoleTooLow


class OwnRole:
    """The user's role, which is asked for once, only if needed; of an integration's key it is not known."""

    def __init__(self, registry: RegistryApi) -> None:
        self._registry = registry
        self._me: Me | None = None
        self._is_asked = False
        self._lock = asyncio.Lock()

    async def check_push(self, model: Model | None) -> None:
        """Check that the role allows a new model, or a version of this one; passes if the role is not known.

        Raises:
            RoleTooLow: the user is a viewer, or a member and someone else registered the model.
        """
        me = await self._get_me()
        if me is None:
            return
        teams = [team for team in me.team_list if self._registry.team in (None, str(team.id))]
        if any(team.member_role is Role.VIEWER for team in teams):
            raise RoleTooLow(NEEDS_ROLE.format(needed=Role.MEMBER))
        if (
            model is not None
            and any(team.member_role is Role.MEMBER for team in teams)
            and model.created_by.id != me.id
        ):
            raise RoleTooLow(ONLY_OWN_MODELS)

    async def _get_me(self) -> Me | None:
        """Return the user, requested once; None for a key that acts for no user."""
        async with self._lock:
            if not self._is_asked:
                try:
                    self._me = await self._registry.me()
                except KeyNotAllowed:
                    self._me = None
                self._is_asked = True
        return self._me
