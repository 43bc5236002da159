"""Receiving and decoding of pictures for requests, before their operation takes a thread.

Decoding may wait and take long. In a thread of the operations, some pictures of a team would keep its machines waiting.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request

from modelyard.server.database.session import Db
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.json_body import MIB, BodyBudget, receive_file
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.models.operations import parse_model_id
from modelyard.server.models.version_routes import Editing, PathVersion
from modelyard.server.models.versions.operations import parse_version_number
from modelyard.server.previews import operations
from modelyard.server.previews.decoder import BUSY, SLOT_SECONDS, SLOTS, Picture, decode_picture, render_png
from modelyard.server.previews.pictures import PictureStorage, read_webp
from modelyard.server.previews.viewer import PictureViewer, Viewer, find_visible_picture
from modelyard.server.storage.dependency import Store
from modelyard.wire import problems
from modelyard.wire.formats import MAX_PICTURE_BYTES
from modelyard.wire.versions import EXAMPLE_PREVIEW, PreviewFormat

# Pictures are larger than other bodies, so a slow connection gets more time, and they have a budget of their own.
PICTURE_SECONDS = 120.0
PICTURE_BYTES = Limits(64 * MIB, per_person=20 * MIB, per_team=40 * MIB)
DECODING = Limits(SLOTS, per_person=1, per_team=1)
# Rendering takes less than a second.
RENDERING = Limits(1, per_person=1, per_team=1)
PNG_QUEUE = Limits(1_000, per_person=16, per_team=16)

PathSha256 = Annotated[
    str, Path(description="The SHA-256 of the picture.", examples=[EXAMPLE_PREVIEW.rsplit("/", maxsplit=1)[-1]])
]
Replace = Annotated[
    bool,
    Query(
        description="`false` keeps a preview that the version has, and brings none back that was removed.",
        examples=[False],
    ),
]
Size = Annotated[int, Query(ge=1, le=2, description="1: at most 256 x 512 pixels; 2: 512 x 1024.", examples=[1])]
Format = Annotated[PreviewFormat, Query(description="`png` always has size 2.", examples=["webp"])]


@dataclass(frozen=True)
class PictureRequest:
    """Which picture is asked for, and the tags of those that the caller has."""

    sha256: str
    size: int
    format: PreviewFormat
    known_tags: str

    @property
    def etag(self) -> str:
        """The entity tag of the picture in this size and format."""
        return f'"{self.sha256}-{self.size}-{self.format}"'

    @property
    def is_known(self) -> bool:
        """Whether the caller has it, as ``If-None-Match`` says."""
        return self.etag in self.known_tags


def build_picture_budget() -> BodyBudget:
    """Build the limit on the bytes of pictures that one process holds at a time."""
    return BodyBudget(PICTURE_BYTES)


def build_picture_limiter() -> OperationLimiter:
    """Build the limiter of decoding: the pictures that one team sends never take all sandboxes."""
    return OperationLimiter(DECODING, busy=BUSY, queue_seconds=SLOT_SECONDS)


def build_png_limiter() -> OperationLimiter:
    """Build the limiter of rendering as PNG: one sandbox for all teams, so that pictures that are sent get another.

    Few requests of a team may wait, so that its machines do not keep those of other teams waiting until they give up.
    """
    return OperationLimiter(RENDERING, busy=BUSY, queue=PNG_QUEUE, queue_seconds=SLOT_SECONDS)


async def _get_storage(database: Db, store: Store, settings: CurrentSettings) -> PictureStorage:
    """Return where this application stores pictures."""
    return PictureStorage(database, store, settings)


Storage = Annotated[PictureStorage, Depends(_get_storage)]


async def _parse_place(_team: Editing, model_id: PathId, version: PathVersion) -> tuple[UUID, int]:
    """Return the model's id and the version's number, once the caller was checked.

    Raises:
        ModelNotFound, VersionNotFound: it is not an id, or not a number.
    """
    return parse_model_id(model_id), parse_version_number(version)


VersionPlace = Annotated[tuple[UUID, int], Depends(_parse_place)]


async def _receive_picture(request: Request, _team: Editing) -> AsyncIterator[bytes]:
    """Yield the body of a request whose caller was checked; it counts towards the budget until the operation ends.

    Raises:
        BodyTooLarge, RequestStalled, Unavailable: see ``receive_file``.
    """
    budget: BodyBudget = request.app.state.picture_budget
    async with receive_file(request, budget, MAX_PICTURE_BYTES, PICTURE_SECONDS) as picture:
        yield picture


async def _decode_received(
    request: Request,
    place: VersionPlace,
    team: Editing,
    content: Annotated[bytes, Depends(_receive_picture)],
    storage: Storage,
    replace: Replace = True,
) -> Picture | None:
    """Return the picture in the body; None, without looking at it, if the version keeps what it has.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow: see ``is_picture_wanted``.
        PictureRefused, Unavailable: see ``decode_picture``.
    """
    limiters = request.app.state
    check = partial(operations.is_picture_wanted, storage.database, team, place, replace=replace)
    if not await limiters.read_limiter.run(team.account, check):
        return None
    picture: Picture = await limiters.picture_limiter.run(team.account, partial(decode_picture, content))
    return picture


ReceivedPicture = Annotated[Picture | None, Depends(_decode_received)]


async def _parse_picture_request(
    sha256: PathSha256,
    size: Size = 2,
    format: Format = "webp",  # noqa: A002 - the name of the parameter in the API
    if_none_match: Annotated[str, Header(include_in_schema=False)] = "",
) -> PictureRequest:
    """Return which picture is asked for; as PNG there is only the large one."""
    return PictureRequest(sha256, 2 if format == "png" else size, format, if_none_match)


AskedPicture = Annotated[PictureRequest, Depends(_parse_picture_request)]


async def _render_missing_png(
    request: Request, asked: AskedPicture, viewer: PictureViewer, storage: Storage
) -> bytes | None:
    """Return a picture as PNG if one is asked for, the caller has none, and none is stored; else None.

    Raises:
        PreviewNotFound: see ``find_visible_picture``; or the stored picture is damaged.
        Unavailable: see ``decode_picture``.
    """
    if asked.format != "png" or asked.is_known:
        return None
    limiters, account = request.app.state, viewer.account
    webp = await limiters.read_limiter.run(account, partial(_read_webp_without_png, storage, viewer, asked.sha256))
    if webp is None:
        return None
    render = partial(_render_unless_stored, storage, viewer, asked.sha256, webp)
    png: bytes | None = await limiters.png_limiter.run(account, render)
    return png


RenderedPng = Annotated[bytes | None, Depends(_render_missing_png)]


def _read_webp_without_png(storage: PictureStorage, viewer: Viewer, sha256: str) -> bytes | None:
    """Return the large WebP of a picture; None if it is stored as PNG too.

    Raises:
        PreviewNotFound, StoreUnavailable: see ``find_visible_picture`` and ``read_webp``.
    """
    with storage.database.reading() as session:
        row = find_visible_picture(session, viewer, sha256)
    return read_webp(storage.store, row, 2) if row.png_key is None else None


def _render_unless_stored(storage: PictureStorage, viewer: Viewer, sha256: str, webp: bytes) -> bytes | None:
    """Return a picture as PNG; None if another request has stored it while this one waited.

    Raises:
        PreviewNotFound, Unavailable: see ``_render_missing_png``.
    """
    with storage.database.reading() as session:
        row = find_visible_picture(session, viewer, sha256)
    return _render(webp) if row.png_key is None else None


def _render(webp: bytes) -> bytes:
    """Return a stored picture as PNG.

    Raises:
        PreviewNotFound: it is damaged.
        Unavailable: see ``decode_picture``.
    """
    try:
        return render_png(webp)
    except problems.PictureRefused:
        raise problems.PreviewNotFound("The stored picture is damaged. Set the preview again.") from None
