"""The picture of an import's source, which becomes the preview of the imported version."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from modelyard.server.imports.downloads.download import check_continued
from modelyard.server.imports.sources.requests import request_source
from modelyard.server.outbound.client import OutboundClient
from modelyard.server.previews.decoder import decode_picture
from modelyard.server.previews.operations import is_source_preview_wanted, set_source_preview
from modelyard.server.previews.pictures import PictureStorage
from modelyard.server.storage.blob_store import StoreError
from modelyard.server.teams.context import TeamContext
from modelyard.wire.formats import MAX_PICTURE_BYTES
from modelyard.wire.problems.base import Problem

log = logging.getLogger("modelyard.imports")


@dataclass(frozen=True)
class ImportedVersion:
    """A model, and the hash of the content that its newest version has if nothing came after the import."""

    model_id: UUID
    file_hash: str


def add_source_preview(
    storage: PictureStorage,
    client: OutboundClient,
    team: TeamContext,
    version: ImportedVersion,
    url: str,
    is_stopped: Callable[[], bool],
) -> None:
    """Make the picture at an address the preview of an imported version, unless a person decided otherwise.

    The address is checked like all that are requested. A picture that cannot be used is logged, and changes nothing.

    Raises:
        ReadStopped: ``is_stopped`` says that the process ends.
    """
    try:
        if not is_source_preview_wanted(storage.database, team, version.model_id, version.file_hash):
            return
        with request_source(client, "GET", url, "The source") as response:
            content = response.read(MAX_PICTURE_BYTES)
        picture = decode_picture(content, lambda: check_continued(not is_stopped()))
        set_source_preview(storage, team, version.model_id, version.file_hash, picture)
    except (Problem, StoreError) as failure:
        log.info("the picture of a source was not used", extra={"model": str(version.model_id), "why": failure.detail})
