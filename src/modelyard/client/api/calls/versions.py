"""The calls of a registry about the versions of models, and their preview pictures."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import versions
from modelyard.wire.schemas import Done, Updated

_START = Paging()


class VersionCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about the versions of models, and their preview pictures; they raise the same."""

    async def list_versions(
        self, model_id: UUID, paging: Paging = _START, *, deleted: bool = False
    ) -> versions.VersionList:
        """Return one page of a model's versions, newest first; with ``deleted``, of those in the trash."""
        query = paging.build_query() | ({"deleted": "true"} if deleted else {})
        return await self._get(versions.VersionList, build_path("models", model_id, "versions"), query)

    async def get_version(self, model_id: UUID, number: int) -> versions.ModelVersion:
        return await self._get(versions.ModelVersion, build_path("models", model_id, "versions", number))

    async def update_version(self, model_id: UUID, number: int, change: versions.VersionUpdate) -> Updated:
        path = build_path("models", model_id, "versions", number)
        return await self._channel.request(Updated, Call("PUT", path, change, repeatable=True))

    async def set_preview(
        self, model_id: UUID, number: int, picture: bytes, *, replace: bool = True
    ) -> versions.Preview:
        """Make a picture the preview of a version; without ``replace``, one that it has stays."""
        query = {} if replace else {"replace": "false"}
        call = Call(
            "PUT", build_path("models", model_id, "versions", number, "preview"), picture, query, repeatable=True
        )
        return await self._channel.request(versions.Preview, call)

    async def remove_preview(self, model_id: UUID, number: int) -> None:
        """Remove the preview of a version."""
        await self._channel.send(Call("DELETE", build_path("models", model_id, "versions", number, "preview")))

    async def get_picture(self, sha256: str, *, image_format: versions.PreviewFormat = "webp") -> bytes:
        """Return the larger preview picture with this hash, in which a record's ``preview_url`` ends."""
        call = Call("GET", build_path("previews", sha256), query={"format": image_format}, repeatable=True)
        return (await self._channel.send(call)).content

    async def activate_version(self, model_id: UUID, number: int) -> Done:
        """Make a verified version the current one, which machines get."""
        return await self._post(Done, build_path("models", model_id, "versions", number, "activate"), repeatable=True)

    async def delete_version(self, model_id: UUID, number: int) -> None:
        """Move a version to the trash."""
        await self._channel.send(Call("DELETE", build_path("models", model_id, "versions", number)))

    async def restore_version(self, model_id: UUID, number: int) -> Done:
        """Restore a version from the trash."""
        return await self._post(Done, build_path("models", model_id, "versions", number, "restore"))
