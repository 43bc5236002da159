"""The client of a registry: a method for each route except ``GET /api/v1/agent-states``, with wire types."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from modelyard.client.api.auth import Key, TokenSource
from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.calls.methods import GROUPS
from modelyard.client.api.http import DEFAULT_RETRY_SECONDS, HttpChannel, RetryOptions

if TYPE_CHECKING:
    from modelyard.client.api.calls.accounts import AccountCalls
    from modelyard.client.api.calls.agent_reports import AgentReportCalls
    from modelyard.client.api.calls.agents import AgentCalls
    from modelyard.client.api.calls.collections import CollectionCalls
    from modelyard.client.api.calls.credentials import CredentialCalls
    from modelyard.client.api.calls.imports import ImportCalls
    from modelyard.client.api.calls.model_batches import ModelBatchCalls
    from modelyard.client.api.calls.models import ModelCalls
    from modelyard.client.api.calls.teams import TeamCalls
    from modelyard.client.api.calls.trusted_files import TrustedFileCalls
    from modelyard.client.api.calls.uploads import UploadCalls
    from modelyard.client.api.calls.versions import VersionCalls
    from modelyard.client.api.calls.webhooks import WebhookCalls

    class _Calls(
        AccountCalls,
        CredentialCalls,
        TeamCalls,
        UploadCalls,
        ModelCalls,
        ModelBatchCalls,
        VersionCalls,
        CollectionCalls,
        ImportCalls,
        TrustedFileCalls,
        WebhookCalls,
        AgentCalls,
        AgentReportCalls,
    ):
        """The methods of all groups, as type checkers see them."""

else:
    _Calls = ChannelCalls


class RegistryApi(_Calls):
    """A client of a registry for one caller in one team; an async context manager.

    ``token`` is a key, a session's access token, or a ``TokenSource`` that refreshes it; without one, only calls that
    need no authentication work. ``team`` is the id for ``X-Team-ID``: sessions need it, keys belong to a team already.
    Idempotent calls are retried for ``retry_seconds`` while the registry does not answer; ``notify`` gets a sentence
    at intervals meanwhile. All methods raise ``Problem``, ``Unreachable`` and ``BadResponse`` as ``HttpChannel``.
    """

    def __init__(
        self,
        url: str,
        token: str | TokenSource | None = None,
        team: UUID | str | None = None,
        *,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        source = Key(token) if isinstance(token, str) else token
        self.team = None if team is None else str(team)
        self._channel = HttpChannel(url, source, self.team, RetryOptions(retry_seconds, notify))

    @property
    def url(self) -> str:
        return self._channel.url

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)


class _GroupMethod:
    """A method of ``RegistryApi`` whose group is imported when the method is first used.

    A command calls two or three of them. To import the types of all costs as much time as the rest of a short command.
    """

    def __init__(self, module: str, class_name: str, name: str) -> None:
        self._place = (module, class_name, name)

    def __get__(self, registry: RegistryApi | None, owner: type[RegistryApi]) -> Any:
        """Return the method bound to a registry, or the plain function without one."""
        function = _import_method(*self._place)
        return function if registry is None else MethodType(function, registry)


@cache
def _import_method(module: str, class_name: str, name: str) -> Any:
    return vars(getattr(import_module(f"modelyard.client.api.calls.{module}"), class_name))[name]


for _module, (_class_name, _names) in GROUPS.items():
    for _name in _names.split():
        setattr(RegistryApi, _name, _GroupMethod(_module, _class_name, _name))
