"""Operations on imports: the draft of a link; start, list, read, cancel and retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select, update
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.engine import IMPORT_LEASES
from modelyard.server.database.job_run import JobRun
from modelyard.server.database.session import Database, announce, execute_and_count
from modelyard.server.encryption import SecretCipher
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.http.params import parse_uuid
from modelyard.server.imports.downloads.unsized_download import choose_first_size
from modelyard.server.imports.import_leases import find_held_hosts, release_host
from modelyard.server.imports.running import dump_request, find_running_import, find_same_import
from modelyard.server.imports.sources.drafts import clean_file_name, guess_model_type
from modelyard.server.imports.sources.found import FoundFile, FoundModel
from modelyard.server.imports.sources.links import parse_link
from modelyard.server.imports.sources.lookup import Sources, find_model
from modelyard.server.imports.sources.requests import translate_outbound_errors
from modelyard.server.imports.tables import ImportRow
from modelyard.server.imports.tokens.operations import read_source_tokens
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.registration.operations import presign_upload
from modelyard.server.outbound.policy import parse_url
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.permissions import EDIT_EVERY_ROLE
from modelyard.server.uploads.multipart import abort_own_upload, begin_multipart
from modelyard.server.uploads.operations import find_upload, find_verified_size
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems
from modelyard.wire.imports.drafts import ImportDraft, ImportLink, ImportSource, SourceFile, SourceHashes
from modelyard.wire.imports.jobs import ImportList, ModelImport, NewImport
from modelyard.wire.uploads import MultipartRequest, UploadRequest
from modelyard.wire.versions import Creator

# Announced within this process when an import is queued.
IMPORT_QUEUED = "import-queued"
KEPT_DAYS = 30
_NEWEST_FIRST = Order((ImportRow.id,), is_descending=True)


@dataclass(frozen=True)
class StartedImport:
    """The id of an import, and whether this request started it."""

    id: UUID
    is_new: bool


@dataclass(frozen=True)
class ImportOrigin:
    """Where the bytes of an import come from: a host, or for a conversion the source as ``DerivedFrom`` in JSON.

    ``keeps_record``: a read has started it, so a model that has the content already keeps its record.
    """

    host: str
    derived_from: dict[str, Any] | None = None
    keeps_record: bool = False

    def find_running(self, session: Session, team: TeamContext, new: NewImport) -> UUID | None:
        """Return the id of the queued or running import that a request of this origin is answered with, or None.

        A read, and a conversion, only needs the content: whatever import brings it is right.

        Raises:
            ImportRunning: see ``find_same_import``.
        """
        if self.derived_from is None and not self.keeps_record:
            return find_same_import(session, team, new)
        row = find_running_import(session, team.team_id, new)
        return None if row is None else row.id


def resolve_link(
    database: Database, cipher: SecretCipher | None, sources: Sources, team: TeamContext, link: ImportLink
) -> ImportDraft:
    """Return what an import of a link would register; raises as ``find_model``."""
    with database.reading() as session:
        tokens = read_source_tokens(session, team.team_id, cipher)
    return build_draft(find_model(sources.with_tokens(tokens), link.url))


def build_draft(found: FoundModel) -> ImportDraft:
    """Build the draft of a model at a source. Pure."""
    file_name = clean_file_name(found.file.name)
    return ImportDraft(
        url=found.file.url,
        source=ImportSource(kind=found.kind, page_url=found.page_url, name=found.name, revision=found.revision),
        file_list=[_build_file(file) for file in found.files],
        is_complete=found.is_complete,
        file_name=file_name,
        size=found.file.size,
        hashes=SourceHashes(sha256=f"sha256:{found.file.sha256}" if found.file.sha256 else None),
        display_name=found.display_name,
        model_type=found.model_type,
        model_path=f"{found.model_type}/{file_name}",
        base_model=found.base_model,
        trigger_words=found.trigger_words,
        license=found.license,
    )


def _build_file(file: FoundFile) -> SourceFile:
    """Build the API's view of a file of a source."""
    return SourceFile(
        url=file.url,
        name=file.name,
        size=file.size,
        file_name=clean_file_name(file.name),
        model_type=file.model_type or guess_model_type(file.name),
        sha256=f"sha256:{file.sha256}" if file.sha256 else None,
    )


def start_import(
    objects: ObjectChecks,
    team: TeamContext,
    settings: Settings,
    sources: Sources,
    new: NewImport,
    *,
    keeps_record: bool = False,
) -> StartedImport:
    """Queue an import, whose size is reserved in the team's quota; return the same one if it is queued already.

    ``keeps_record``: see ``ImportOrigin``.

    Raises:
        LinkRefused: the link is none.
        ImportRunning: see ``ImportOrigin.find_running``.
        ModelPathRefused, ModelTypeUnknown, ModelPathTaken, ModelNotFound, NotAModelFile, InvalidRequest, RoleTooLow,
            QuotaExceeded, TooManyUploads, StorageFull: see ``presign_upload``.
    """
    with translate_outbound_errors():
        parse_link(new.url, sources.endpoints)
        url = parse_url(new.url)
    if url.scheme not in ("https", "http") or not url.host:
        raise problems.LinkRefused("Look the link up first, and send the `url` of the draft.")
    origin = ImportOrigin(url.host, keeps_record=keeps_record)
    with objects.database.reading() as session:
        running = origin.find_running(session, team, new)
    if running is not None:
        return StartedImport(running, is_new=False)
    return queue_import(objects, team, settings, new, origin)


def queue_import(
    objects: ObjectChecks, team: TeamContext, settings: Settings, new: NewImport, origin: ImportOrigin
) -> StartedImport:
    """Queue an import or a conversion, whose size is reserved in the quota; return the same one if it is queued.

    Of requests for the same path and link at the same time, one queues the import.

    Raises:
        ImportRunning: see ``ImportOrigin.find_running``.
        ModelPathRefused, ModelTypeUnknown, ModelPathTaken, ModelNotFound, NotAModelFile, InvalidRequest, RoleTooLow,
            QuotaExceeded, TooManyUploads, StorageFull: see ``presign_upload``.
    """
    upload = _open_upload(objects, team, settings, new)
    row = ImportRow(
        id=new_id(),
        team_id=team.team_id,
        url=new.url,
        host=origin.host,
        derived_from=origin.derived_from,
        keeps_record=origin.keeps_record,
        request=dump_request(new),
        storage_key=upload.storage_key,
        file_size=upload.file_size,
        file_hash=new.file_hash,
        creator_kind=team.creator.kind,
        creator_id=team.creator.id,
        creator_name=team.creator.name,
        credential_id=team.caller.credential_id,
        person_id=team.caller.person_id,
    )
    try:
        running = _insert_unless_running(objects.database, team, row, new, origin)
    except problems.ImportRunning:
        abort_own_upload(objects.database, objects.store, team.team_id, upload.storage_key)
        raise
    if running is not None:
        abort_own_upload(objects.database, objects.store, team.team_id, upload.storage_key)
        return StartedImport(running, is_new=False)
    return StartedImport(row.id, is_new=True)


def _insert_unless_running(
    database: Database, team: TeamContext, row: ImportRow, new: NewImport, origin: ImportOrigin
) -> UUID | None:
    """Insert an import and return None; or return the id of the one that its request is answered with."""
    with database.writing(team.team_id) as session:
        running = origin.find_running(session, team, new)
        if running is None:
            session.add(row)
            facts = {"url": new.url, "model_path": new.model_path}
            audit.record(session, team.actor, team.team_id, "import.started", row.id, **facts)
            announce(session, IMPORT_QUEUED)
        return running


def _open_upload(objects: ObjectChecks, team: TeamContext, settings: Settings, new: NewImport) -> UploadRow:
    """Open the upload that an import fills, unless the team has the content, and return it."""
    size = new.file_size or _find_held_size(objects.database, team, new) or choose_first_size(settings)
    request = UploadRequest(
        file_name=new.model_path.rpartition("/")[2][:255],
        file_size=size,
        model_type=new.model_type,
        model_path=new.model_path,
        file_hash=new.file_hash,
        replaces=new.replaces,
    )
    opened, _ = presign_upload(objects, team, settings, request)
    if not opened.is_stored:
        # Unlike an upload with one PUT, it reserves the quota until it expires or is aborted.
        started = MultipartRequest(storage_key=opened.upload.storage_key, file_size=size)
        begin_multipart(objects.database, objects.store, team.caller, settings, started)
    return opened.upload


def _find_held_size(database: Database, team: TeamContext, new: NewImport) -> int | None:
    """Return the size of the content if the team has it already by its hash, or None."""
    if new.file_hash is None:
        return None
    with database.reading() as session:
        return find_verified_size(session, team.team_id, new.file_hash.removeprefix("sha256:"))


def parse_import_id(text: str) -> UUID:
    """Return the import id of a request path; raises ``ImportNotFound`` if it is not a UUID."""
    return parse_uuid(text, _build_not_found())


def _build_not_found() -> problems.ImportNotFound:
    """Build the problem for an import that does not exist or belongs to another team; both look the same."""
    return problems.ImportNotFound("There is no such import.")


def find_import(session: Session, team: TeamContext, import_id: UUID) -> ImportRow:
    """Return an import of the team; raises ``ImportNotFound``."""
    row = session.get(ImportRow, import_id)
    if row is None or row.team_id != team.team_id:
        raise _build_not_found()
    return row


def list_imports(session: Session, team: TeamContext, page: Page) -> ImportList:
    """Return the imports of the team, newest first, one page at a time."""
    rows, meta = list_page(session, select(ImportRow).where(ImportRow.team_id == team.team_id), page, _NEWEST_FIRST)
    held = find_held_hosts(session, get_database_time(session))
    return ImportList(import_list=[_build_import(row[0], held) for row in rows], page_meta=meta)


def get_import(session: Session, team: TeamContext, import_id: UUID) -> ModelImport:
    """Return an import of the team; raises ``ImportNotFound``."""
    row = find_import(session, team, import_id)
    return _build_import(row, find_held_hosts(session, get_database_time(session)))


def _build_import(row: ImportRow, held_hosts: Mapping[str, datetime]) -> ModelImport:
    """Build the API's view of an import; ``held_hosts`` limit requests, each until a time."""
    pause = _find_pause(row, held_hosts) if row.import_state == "queued" and row.lease is None else None
    is_size_known = row.import_state == "done" or row.request.get("file_size") is not None
    return ModelImport(
        id=row.id,
        url=row.url,
        import_state=row.import_state,
        display_name=row.request["display_name"],
        model_type=row.request["model_type"],
        model_path=row.request["model_path"],
        file_size=row.file_size if is_size_known else None,
        bytes_done=row.bytes_done,
        relies_on_etag=row.relies_on_etag,
        model_id=row.model_id,
        error=pause.error if pause else row.error,
        error_code=pause.error_code if pause else row.error_code,
        retry_at=pause.until if pause else None,
        created_at=row.created_at,
        finished_at=row.finished_at,
        created_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
    )


@dataclass(frozen=True)
class _Pause:
    """Until when a queued import is not run, and why."""

    until: datetime
    error: str | None
    error_code: str | None


def _find_pause(row: ImportRow, held_hosts: Mapping[str, datetime]) -> _Pause | None:
    """Return the pause of a queued import: after its own failed try, or that of its host if this ends later."""
    own, held = row.leased_until, held_hosts.get(row.host)
    if held is not None and (own is None or own < held):
        return _Pause(held, f"'{row.host}' limits how often it is asked.", "source_unavailable")
    return None if own is None else _Pause(own, row.error, row.error_code)


def cancel_import(objects: ObjectChecks, team: TeamContext, import_id: UUID) -> None:
    """Cancel an import and delete what is downloaded; does nothing if it has failed or was cancelled already.

    A conversion that runs keeps its lease until its worker has noticed: it counts in the limits of conversions.

    Raises:
        ImportNotFound, RoleTooLow: see ``_find_import_to_change``.
        ImportFinished: its model is registered.
    """
    with objects.database.writing(team.team_id) as session:
        row = _find_import_to_change(session, team, import_id)
        upload = find_upload(session, team.team_id, row.storage_key)
        if row.import_state == "done" or (upload is not None and upload.registered_at is not None):
            raise problems.ImportFinished(
                f"The import can no longer be cancelled: '{row.request['model_path']}' is registered. Delete the model "
                "if you do not want it.",
                import_state=row.import_state,
            )
        if row.import_state in ("queued", "running"):
            row.import_state, row.finished_at = "cancelled", get_database_time(session)
            if row.lease is None or row.derived_from is None:
                row.lease = row.leased_until = None
            path = row.request["model_path"]
            audit.record(session, team.actor, team.team_id, "import.cancelled", row.id, model_path=path)
    abort_own_upload(objects.database, objects.store, team.team_id, row.storage_key)


def retry_import(objects: ObjectChecks, team: TeamContext, settings: Settings, import_id: UUID) -> None:
    """Queue a failed or cancelled import again, from the start; one that waits is due at once.

    If the host of one that waits limits requests, it is asked again at once, by the imports of all teams.

    Raises:
        ImportNotFound, RoleTooLow: see ``_find_import_to_change``.
        ImportFinished: it is done.
        ModelPathTaken, ModelNotFound, NotAModelFile, InvalidRequest, QuotaExceeded, TooManyUploads, StorageFull: see
            ``presign_upload``, which also raises RoleTooLow.
    """
    with objects.database.writing(team.team_id) as session:
        row = _find_import_to_change(session, team, import_id)
        if row.import_state == "done":
            raise _build_finished(row)
        if row.import_state == "queued":
            # With a lease, a run that was cancelled before has not ended yet.
            row.leased_until, row.tries = None if row.lease is None else row.leased_until, 0
        is_waiting, is_running = row.import_state == "queued", row.import_state == "running"
    if is_waiting:
        with objects.database.writing(IMPORT_LEASES) as session:
            release_host(session, row.host)
            announce(session, IMPORT_QUEUED)
    if is_waiting or is_running:
        return
    upload = _open_upload(objects, team, settings, NewImport(**row.request))
    _queue_again(objects.database, team, row, upload.storage_key)


def _queue_again(database: Database, team: TeamContext, row: ImportRow, storage_key: str) -> None:
    """Queue an ended import with a new upload, unless another request has done so; it waits for the end of its run."""
    ended = (ImportRow.id == row.id) & ImportRow.import_state.in_(("failed", "cancelled"))
    values = {"import_state": "queued", "storage_key": storage_key, "etag": None, "bytes_done": 0, "tries": 0}
    values |= {"relies_on_etag": False}
    values |= {"error": None, "error_code": None, "finished_at": None, "held_until": None}
    with database.writing(team.team_id) as session:
        session.execute(update(ImportRow).where(ended).values(values))
        path = row.request["model_path"]
        audit.record(session, team.actor, team.team_id, "import.retried", row.id, model_path=path)
        announce(session, IMPORT_QUEUED)


def _find_import_to_change(session: Session, team: TeamContext, import_id: UUID) -> ImportRow:
    """Return an import that the caller may change, locked: members their own, admins and integration keys every one.

    Raises:
        ImportNotFound: see ``find_import``.
        RoleTooLow: a member's call for an import that someone else started.
    """
    row = session.get(ImportRow, find_import(session, team, import_id).id, with_for_update=True, populate_existing=True)
    if row is None:
        raise _build_not_found()
    if not team.may_change(row.creator_kind, row.creator_id):
        message = "Members may change only the imports that they started. Ask an admin."
        raise problems.RoleTooLow(message, needed_role=EDIT_EVERY_ROLE)
    return row


def _build_finished(row: ImportRow) -> problems.ImportFinished:
    """Build the problem for an import that has ended already."""
    return problems.ImportFinished(
        f"The import has ended already: it is {row.import_state}.", import_state=row.import_state
    )


def delete_old_imports(run: JobRun) -> None:
    """Delete the imports that ended ``KEPT_DAYS`` ago, page by page and team by team; their models stay."""
    is_old = ImportRow.finished_at < run.moment - timedelta(days=KEPT_DAYS)

    def delete_page(team_id: UUID, imports: Sequence[Row[Any]]) -> None:
        """Delete those of one team's imports that are still old: one may have been queued again."""
        is_in_page = ImportRow.id.in_([row.id for row in imports])
        with run.writing(team_id) as session:
            execute_and_count(session, delete(ImportRow).where(is_in_page, is_old))

    columns = (ImportRow.id, ImportRow.team_id, ImportRow.finished_at)
    for page in run.iterate_pages(select(*columns).where(is_old), ImportRow.finished_at, ImportRow.id):
        run.call_for_teams(page, delete_page)
