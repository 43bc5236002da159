"""The end of a run: its content is registered as a model, and the import is done."""

from typing import Any
from uuid import UUID

from modelyard.server.imports.import_leases import finish_cancelled_import, finish_import
from modelyard.server.imports.imported_files import ImportedContent, find_registered_sha256, record_imported_file
from modelyard.server.imports.runs.import_run import ImportRun
from modelyard.server.models.registration.operations import register_model
from modelyard.wire.models import NewModel


def register_content(run: ImportRun, sha256: str) -> UUID:
    """Register the complete file as a model, and return the model's id; raises as ``register_model``.

    That checks the permissions that the person or key which started the import has by then.
    """
    new, source = _build_new_model(run, sha256), run.converted_file
    keeps_record = run.leased.row.keeps_record
    return register_model(run.objects, run.team, run.settings, new, source, keeps_record=keeps_record).id


def _build_new_model(run: ImportRun, sha256: str) -> NewModel:
    """Return the registration of an import's file."""
    fields = run.new.model_dump(exclude={"url", "file_hash", "file_size"}, exclude_unset=True)
    key, size = run.leased.row.storage_key, run.read_size()
    return NewModel(**fields, storage_key=key, file_hash=f"sha256:{sha256}", file_size=size)


def record_success(run: ImportRun, imported: ImportedContent) -> None:
    """Record that an import is done, also if it was cancelled while its file was being registered."""
    leased, size = run.leased, run.read_size()
    done: dict[str, Any] = {"model_id": imported.model_id, "bytes_done": size, "file_size": size}
    done |= {"error": None, "error_code": None}
    with run.objects.database.writing(leased.lease) as session:
        sha256 = imported.sha256 or find_registered_sha256(session, leased.row.storage_key)
        done |= {"file_hash": f"sha256:{sha256}"} if sha256 else {}
        is_done = finish_import(session, leased, "done", **done) or finish_cancelled_import(session, leased, **done)
        if is_done and leased.row.derived_from is None:
            record_imported_file(session, leased.row, imported, run.sources.endpoints)
