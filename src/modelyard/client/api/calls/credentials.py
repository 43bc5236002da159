"""The calls of a registry about keys, and about pairing, which makes keys for a machine."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import credentials
from modelyard.wire.schemas import Done

_START = Paging()


class CredentialCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about keys and pairing; they raise the same."""

    async def start_pairing(
        self, *, is_for_agent: bool = False, agent_id: str | None = None
    ) -> credentials.PairingStarted:
        """Start to pair this machine: return a code for a person to confirm, and a device code to poll with.

        With ``is_for_agent`` it gets only the key of its agent, except from registries of older releases. ``agent_id``
        is the name that the machine will have without another one from the confirmation.
        """
        query = {"is_for_agent": "true"} if is_for_agent else {}
        query |= {} if agent_id is None else {"agent_id": agent_id}
        call = Call("POST", "/desktop/pair/start", query=query, anonymous=True)
        return await self._channel.request(credentials.PairingStarted, call)

    async def poll_pairing(self, poll: credentials.PairingPoll) -> credentials.PairingState:
        """Return whether the pairing is confirmed, with this machine's keys if it is.

        A poll with ``repeat`` is retried: for five minutes, each of its responses has the same keys.
        """
        call = Call("POST", "/desktop/pair/poll", poll, repeatable=poll.repeat, anonymous=True)
        return await self._channel.request(credentials.PairingState, call)

    async def confirm_pairing(self, confirmation: credentials.PairingConfirmation) -> credentials.PairingConfirmed:
        """Confirm the code that another machine shows; it gets keys of the caller's current team."""
        return await self._post(credentials.PairingConfirmed, "/desktop/pair/confirm", confirmation, repeatable=True)

    async def revoke_device(self) -> Done:
        """Revoke the device key that this client uses."""
        return await self._post(Done, "/auth/device/revoke")

    async def create_credential(self, new: credentials.NewCredential) -> credentials.CreatedCredential:
        return await self._post(credentials.CreatedCredential, "/credentials", new)

    async def list_credentials(self, paging: Paging = _START, *, kind: str | None = None) -> credentials.CredentialList:
        query = paging.build_query() | ({} if kind is None else {"kind": kind})
        return await self._get(credentials.CredentialList, "/credentials", query)

    async def rotate_credential(
        self, credential_id: UUID, rotation: credentials.Rotation
    ) -> credentials.RotatedCredential:
        """Replace the secret of a key and return the new one; the old one works for ``rotation.grace_hours``."""
        return await self._post(
            credentials.RotatedCredential, build_path("credentials", credential_id, "rotate"), rotation
        )

    async def revoke_credential(self, credential_id: UUID) -> None:
        await self._channel.send(Call("DELETE", build_path("credentials", credential_id)))
