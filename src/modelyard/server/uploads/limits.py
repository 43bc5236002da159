"""Limits of uploads: how many a team may have open, its quota with what they reserve, and the space of the store."""

import math
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Double, case, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server import revisions
from modelyard.server.database.base import now
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import get_team_row
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems

PUT_URL_LIFETIME = timedelta(hours=1)
# A folder is registered once all of its files are uploaded: a team may have so many times more of such uploads.
FOLDER_UPLOADS = 25

# Reservations of files of folders with a hash are grouped by content: a file is presigned again when its URL expired,
# or when its folder is uploaded again. All others are counted one by one.
_RESERVED_CONTENT = case(
    (UploadRow.is_in_folder & UploadRow.file_hash.is_not(None), UploadRow.file_hash), else_=UploadRow.storage_key
)


def check_open_uploads(session: Session, team_id: UUID, settings: Settings, *, is_in_folder: bool) -> None:
    """Check that the team may open one more upload; those of files of folders are counted apart.

    Raises:
        TooManyUploads: it has as many unfinished ones as it may; says when the next of them expires.
    """
    is_counted = _is_open(settings) & (UploadRow.team_id == team_id) & UploadRow.aborted_at.is_(None)
    is_counted &= UploadRow.is_in_folder.is_(is_in_folder)
    count = session.scalar(select(func.count()).where(is_counted)) or 0
    limit = settings.open_uploads * FOLDER_UPLOADS if is_in_folder else settings.open_uploads
    if count < limit:
        return
    is_multipart = UploadRow.multipart_id.is_not(None)
    oldest_single = session.scalar(select(func.min(UploadRow.created_at)).where(is_counted, ~is_multipart))
    oldest_multipart = session.scalar(select(func.min(UploadRow.touched_at)).where(is_counted, is_multipart))
    expiries = [
        since + lifetime
        for since, lifetime in (
            (oldest_single, PUT_URL_LIFETIME),
            (oldest_multipart, timedelta(days=settings.upload_days)),
        )
        if since is not None
    ]
    raise problems.TooManyUploads(
        f"The team has {count} unfinished uploads; the limit is {limit}. Finish some, or abort "
        "multipart uploads, which stop counting at once. Other uploads stop counting after one hour, multipart uploads "
        f"{settings.upload_days} days after their last part; the next one at {min(expiries):%Y-%m-%d %H:%M} UTC.",
        open_uploads=count,
        retry_after=max(1, math.ceil((min(expiries) - now()).total_seconds())),
    )


def _is_open(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for uploads that are not registered and can still be completed.

    An upload with one PUT counts for the lifetime of its URL, a multipart upload for ``settings.upload_days`` after its
    last part.
    """
    return UploadRow.registered_at.is_(None) & _can_be_completed(settings)


def _is_reserving(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for uploads whose declared bytes count towards the quota.

    Those are the open ones, and those of files of folders until they are deleted: they are registered only after the
    last file of the folder has arrived, which can be long after the URL of the first has expired.
    """
    is_waiting = UploadRow.is_in_folder & UploadRow.aborted_at.is_(None) & _is_kept(settings)
    # Outside of the alternatives, so that an index excludes the registered uploads, which are far more.
    return UploadRow.registered_at.is_(None) & or_(_can_be_completed(settings), is_waiting)


def _can_be_completed(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for uploads with a valid URL, and for multipart uploads that are kept."""
    is_url_valid = UploadRow.created_at > now() - PUT_URL_LIFETIME
    return or_(is_url_valid, UploadRow.multipart_id.is_not(None) & _is_kept(settings))


def _is_kept(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for uploads that were used within ``settings.upload_days``."""
    return UploadRow.touched_at > now() - timedelta(days=settings.upload_days)


def check_quota(session: Session, team: TeamContext, settings: Settings, size: int, content: str | None = None) -> None:
    """Check that a file of ``size`` bytes fits into the team's quota, with its stored blobs and open uploads.

    ``content`` is the hash of a file of a folder: nothing more is needed if one open upload has reserved its bytes.
    Of equal files of folders, the first two uploads count once, so that an interrupted folder can be uploaded once
    more, and each further one counts too: each may store its bytes.

    Raises:
        QuotaExceeded: it does not fit.
    """
    quota = get_team_row(session, team).quota_bytes
    quota = settings.quota_bytes if quota is None else quota
    if quota is None:
        return
    stored = revisions.get_totals(session, team.team_id).stored_bytes
    is_expected = (UploadRow.team_id == team.team_id) & _is_reserving(settings) & UploadRow.blob_id.is_(None)
    # Grouping equal contents takes several times as long, and is needed only if the bytes of all do not fit.
    if stored + int(session.scalar(select(_sum_sizes(UploadRow.file_size)).where(is_expected)) or 0) + size <= quota:
        return
    expected, same = _sum_reservations(session, is_expected, content, size)
    if same == 1 or stored + expected + size <= quota:
        return
    raise problems.QuotaExceeded(
        f"The team may store {quota} bytes: {stored} are stored, {expected} are reserved by unfinished uploads, and "
        f"this file needs {size}.",
        quota_bytes=quota,
        stored_bytes=stored,
        expected_bytes=expected,
    )


def _sum_reservations(
    session: Session, is_expected: ColumnElement[bool], content: str | None, size: int
) -> tuple[int, int]:
    """Return the bytes that uploads reserve, and how many of them are files of folders with this content and size."""
    counted = func.count()
    groups = (
        select(
            _RESERVED_CONTENT.label("content"),
            UploadRow.file_size,
            counted.label("uploads"),
            case((counted > 2, counted - 1), else_=1).label("times"),
        )
        .where(is_expected)
        .group_by(_RESERVED_CONTENT, UploadRow.file_size)
        .subquery()
    )
    is_same = (groups.c.content == content) & (groups.c.file_size == size)
    sizes = cast(groups.c.file_size, Double) * groups.c.times
    same = func.coalesce(func.sum(case((is_same, groups.c.uploads))), 0)
    total, uploads = session.execute(select(_sum_sizes(sizes), same)).one()
    return int(total), int(uploads)


def check_space(session: Session, team: TeamContext, settings: Settings, size: int, free_bytes: int | None) -> None:
    """Check that ``size`` more bytes fit into the team's quota and into the free space of the store; None: unlimited.

    Raises:
        QuotaExceeded, StorageFull: they do not fit.
    """
    check_quota(session, team, settings, size)
    check_disk(free_bytes, size)


def check_disk(free: int | None, size: int) -> None:
    """Check that a file of ``size`` bytes fits into the free space of the store; None is unlimited.

    Raises:
        StorageFull: it does not fit.
    """
    if free is not None and size > free:
        raise problems.StorageFull(
            f"The registry's disk has {free} bytes of free space; this file needs {size}.",
            needed_bytes=size,
            free_bytes=free,
        )


def _sum_sizes(column: ColumnElement[int] | ColumnElement[float] | InstrumentedAttribute[int]) -> ColumnElement[float]:
    """Build the sum of sizes as a float: SQLite fails on integers above 64 bits, which may be declared."""
    return func.coalesce(func.sum(cast(column, Double)), 0.0)
