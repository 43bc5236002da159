"""``/previews`` and the preview of a version: set, remove, read."""

from typing import Any

from fastapi import Response, status

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.params import PathId
from modelyard.server.http.problems import answers
from modelyard.server.models.operations import parse_model_id
from modelyard.server.models.version_routes import FIND_PROBLEMS, Editing, PathVersion
from modelyard.server.models.versions.operations import parse_version_number
from modelyard.server.previews import operations
from modelyard.server.previews.pictures import read_png, read_webp
from modelyard.server.previews.request_decoding import (
    AskedPicture,
    ReceivedPicture,
    RenderedPng,
    Replace,
    Storage,
    VersionPlace,
)
from modelyard.server.previews.viewer import PictureViewer, find_visible_picture
from modelyard.wire import problems
from modelyard.wire.versions import Preview

router = ApiRouter("previews")

# Pictures never change, and only the browser of a member may keep them.
CACHE = "private, max-age=31536000, immutable"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
PICTURE_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": dict.fromkeys(("image/*", "application/octet-stream"), _BINARY)}
}


@router.put(
    "/models/{model_id}/versions/{version}/preview",
    openapi_extra=PICTURE_BODY,
    responses=answers(
        *FIND_PROBLEMS,
        problems.PictureRefused,
        problems.QuotaExceeded,
        problems.BodyTooLarge,
        problems.RequestStalled,
        problems.InvalidRequest,
    ),
)
def set_preview(
    place: VersionPlace, team: Editing, picture: ReceivedPicture, storage: Storage, replace: Replace = True
) -> Preview:
    """Set the preview of a version: a JPEG, PNG, WebP, GIF or AVIF file of up to 10 MiB as the body."""
    return operations.set_preview(storage, team, place, picture, replace=replace)


@router.delete(
    "/models/{model_id}/versions/{version}/preview",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*FIND_PROBLEMS, problems.PreviewNotFound),
)
def remove_preview(model_id: PathId, version: PathVersion, team: Editing, database: Db) -> None:
    """Remove the preview of a version."""
    with database.writing(team.team_id) as session:
        operations.remove_preview(session, team, parse_model_id(model_id), parse_version_number(version))


@router.get(
    "/previews/{sha256}",
    response_class=Response,
    openapi_extra={"security": [{"Bearer": []}]},
    responses=answers(
        problems.Unauthenticated,
        problems.TwoCredentials,
        problems.KeyNotAllowed,
        problems.PreviewNotFound,
        problems.InvalidRequest,
        also={
            200: {
                "description": "The picture.",
                "content": dict.fromkeys(("image/webp", "image/png"), _BINARY),
            },
            304: {"description": "The picture is the one that `If-None-Match` names."},
        },
    ),
)
def get_preview(asked: AskedPicture, viewer: PictureViewer, storage: Storage, rendered: RenderedPng) -> Response:
    """Read a picture, with a token or with the cookie that signing in with `X-Session: cookie` sets."""
    with storage.database.reading() as session:
        row = find_visible_picture(session, viewer, asked.sha256)
    headers = {"Cache-Control": CACHE, "ETag": asked.etag, "Cross-Origin-Resource-Policy": "same-origin"}
    if asked.is_known:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    is_png = asked.format == "png"
    content = read_png(storage, row, rendered) if is_png else read_webp(storage.store, row, asked.size)
    return Response(content, media_type=f"image/{asked.format}", headers=headers)
