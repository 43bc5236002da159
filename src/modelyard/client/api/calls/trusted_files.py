"""The calls of a registry about trusted files, and what the pickle scan found in a version."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire.pickles import trusted_files as wire

_START = Paging()


class TrustedFileCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about trusted files; they raise the same. A hash is ``sha256:`` and hex digits."""

    async def get_version_findings(self, model_id: UUID, number: int) -> wire.VersionFindings:
        path = build_path("models", model_id, "versions", number, "findings")
        return await self._get(wire.VersionFindings, path)

    async def list_trusted_files(self, paging: Paging = _START) -> wire.TrustedFileList:
        return await self._get(wire.TrustedFileList, "/trusted-files", paging.build_query())

    async def get_trusted_file(self, file_hash: str) -> wire.TrustedFile:
        return await self._get(wire.TrustedFile, build_path("trusted-files", file_hash))

    async def allow_file(self, file_hash: str, reason: str) -> wire.TrustedFile:
        """Allow a file that the scan has refused; repeated, it changes the reason."""
        call = Call("PUT", build_path("trusted-files", file_hash), wire.NewTrustedFile(reason=reason), repeatable=True)
        return await self._channel.request(wire.TrustedFile, call)

    async def withdraw_trust(self, file_hash: str) -> None:
        await self._channel.send(Call("DELETE", build_path("trusted-files", file_hash)))
