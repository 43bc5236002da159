"""Checks for a newer version of a model at its source, whose result is kept in the model's record."""

from uuid import UUID

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.encryption import SecretCipher
from modelyard.server.imports.sources.lookup import Sources
from modelyard.server.imports.sources.newer import NewerVersion, find_newer_version
from modelyard.server.imports.tokens.operations import read_source_tokens
from modelyard.server.models.operations import find_model, set_newer_at_source
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.models import NewerAtSource, SourceCheck


def check_source(
    database: Database, cipher: SecretCipher | None, sources: Sources, team: TeamContext, model_id: UUID
) -> SourceCheck:
    """Ask the source of a model whether it has a newer version, and keep the result in the record.

    Raises:
        ModelNotFound
        LinkRefused, SourceNotFound, SourceRestricted, SourceUnavailable: see ``find_newer_version``; the record stays.
    """
    with database.reading() as session:
        model = find_model(session, team, model_id)
        source_url, file_hash = model.source_url, model.file_hash
        # A converted model has another content than the file at the source that it was converted from.
        hashes = [file_hash, *([model.derived_from["file_hash"]] if model.derived_from else [])]
        tokens = read_source_tokens(session, team.team_id, cipher)
    if source_url is None:
        raise problems.LinkRefused("This model names no source. Set the address of its page first.")
    newer = find_newer_version(
        sources.with_tokens(tokens), source_url, {each.removeprefix("sha256:") for each in hashes}
    )
    checked_at = now()
    with database.writing(team.team_id) as session:
        model = find_model(session, team, model_id)
        # What another request has changed meanwhile was not checked.
        if (model.source_url, model.file_hash) == (source_url, file_hash):
            found = None if newer is None else _build_newer(newer, checked_at.isoformat())
            set_newer_at_source(model, found)
        record = model.newer_at_source
    return SourceCheck(newer_at_source=NewerAtSource.model_validate(record) if record else None, checked_at=checked_at)


def _build_newer(newer: NewerVersion, checked_at: str) -> dict[str, str]:
    """Return a newer version as the record has it."""
    return {"revision": newer.revision, "name": newer.name, "url": newer.url, "checked_at": checked_at}
