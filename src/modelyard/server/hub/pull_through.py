"""Files that clients ask for and the team does not have: they are imported from Hugging Face, if the team allows it.

A list of files is then that of Hugging Face, and each file is imported when it is asked for. These imports follow the
rules of all imports, so the caller has to be one who may import.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.clock import get_database_time
from modelyard.server.encryption import SecretCipher
from modelyard.server.hub.addresses import AddressKind, HubAddress
from modelyard.server.hub.earlier_imports import build_importing, check_earlier_import, use_held_content
from modelyard.server.hub.operations import Repository, RepositoryFile, find_repository, is_commit, is_repository_id
from modelyard.server.imports.operations import StartedImport, build_draft, start_import
from modelyard.server.imports.sources.drafts import clean_file_name
from modelyard.server.imports.sources.found import FoundModel
from modelyard.server.imports.sources.huggingface import build_file_url
from modelyard.server.imports.sources.lookup import Sources, find_model
from modelyard.server.imports.tokens.operations import read_source_tokens
from modelyard.server.inspection.pickles import check_policy
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.repositories.names import NAMESPACE
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import load_pickle_policy, may_hub_import
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.wire import problems
from modelyard.wire.formats import find_format
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.model_details import Sidecar

# Machines need it for what was imported on request: what one person downloads is not for all of them.
LABEL = "hugging-face"
# Of a path in a repository: a model's path has 8, with its type, the repository and a commit.
_MAX_NAMES = 4
# What the registry does not have, and the source may have.
ABSENT = (problems.RepositoryNotFound, problems.RepositoryRevisionNotFound, problems.RepositoryFileNotFound)
_SOURCE_FAILURES = (
    problems.SourceNotFound,
    problems.SourceRestricted,
    problems.SourceUnavailable,
    problems.LinkRefused,
)


@dataclass(frozen=True)
class PullThrough:
    """What requests to Hugging Face and imports need; ``sources`` are without tokens."""

    objects: ObjectChecks
    settings: Settings
    sources: Sources
    cipher: SecretCipher | None


def is_from_source(session: Session, team: TeamContext, address: HubAddress) -> bool:
    """Return whether an address is of a repository that the team lets clients import from Hugging Face."""
    is_own = address.repository.rpartition("/")[0].lower() == NAMESPACE
    return not is_own and is_repository_id(address.repository) and may_hub_import(session, team.team_id)


def may_import(team: TeamContext) -> bool:
    """Return whether the caller may import."""
    try:
        check_permission(Operation.IMPORTS_CHANGE, team.caller, team.role)
    except (problems.KeyNotAllowed, problems.RoleTooLow):
        return False
    return True


def explain_absence(absent: problems.Problem) -> problems.Problem:
    """Return the problem for a caller who may not import what the team lets others import."""
    reason = "Your team imports from Hugging Face on request, for members and keys with write access."
    return type(absent)(f"{absent.detail} {reason}", **absent.facts)


def pull_repository(pull: PullThrough, team: TeamContext, address: HubAddress) -> Repository:
    """Return a repository as Hugging Face has it; for the address of a file, as the registry has it with this file.

    If Hugging Face does not have the repository or does not answer, what the registry has is returned. Of a file that
    the registry does not have, records that a model has its content, or starts its import.

    Raises:
        RepositoryNotFound, RepositoryRevisionNotFound, RepositoryFileNotFound: neither has it.
        Unavailable: the file is being imported, or verified.
        SourceRestricted, SourceUnavailable, LinkRefused: see ``find_model``.
        NotAModelFile and others: the import of the file has failed, or is refused.
    """
    if address.kind is AddressKind.FILE and is_commit(address.revision):
        _check_earlier_import(pull, team, address)
    try:
        found = _look_up(pull, team, address)
    except _SOURCE_FAILURES as failure:
        return _find_here(pull, team, address, failure)
    if address.kind is not AddressKind.FILE:
        return _build_repository(pull, address, found)
    pinned = replace(address, revision=found.revision or address.revision)
    with suppress(*ABSENT):
        return _find_with_file(pull, team, pinned)
    _check_earlier_import(pull, team, pinned)
    if found.file.sha256 is not None and use_held_content(pull.objects.database, team, pinned, found.file.sha256):
        return _find_with_file(pull, team, pinned)
    _check_pickle_policy(pull, team, pinned)
    started = _start(pull, team, pinned, found)
    if started.is_new:
        _record_request(pull, team, pinned, started.id)
    raise build_importing(found.file.size or 0)


def _look_up(pull: PullThrough, team: TeamContext, address: HubAddress) -> FoundModel:
    """Return what Hugging Face has at an address; raises as ``find_model``, and ``SourceNotFound`` for other files."""
    if address.kind is AddressKind.FILE and find_format(address.path) is None:
        raise problems.SourceNotFound("The registry has model files only.")
    with pull.objects.database.reading() as session:
        tokens = read_source_tokens(session, team.team_id, pull.cipher)
    view = "blob" if address.kind is AddressKind.FILE else "tree"
    path = f"/{quote(address.path)}" if address.kind is AddressKind.FILE else ""
    place = f"{quote(address.repository)}/{view}/{quote(address.revision, safe='')}{path}"
    return find_model(pull.sources.with_tokens(tokens), f"{pull.sources.endpoints.huggingface}/{place}")


def _find_here(pull: PullThrough, team: TeamContext, address: HubAddress, failure: problems.Problem) -> Repository:
    """Return what the registry has at an address; or raise ``failure`` if it is more than an absence."""
    try:
        return _find_with_file(pull, team, address)
    except ABSENT:
        if isinstance(failure, problems.SourceNotFound):
            raise
        raise failure from None


def _find_with_file(pull: PullThrough, team: TeamContext, address: HubAddress) -> Repository:
    """Return what the registry has at an address, with the file if it is that of a file; raises one of ``ABSENT``."""
    path = address.path if address.kind is AddressKind.FILE else None
    with pull.objects.database.reading() as session:
        here = find_repository(session, team, address.repository, address.revision, path)
    if path is not None:
        here.get_file(path)
    return here


def _build_repository(pull: PullThrough, address: HubAddress, found: FoundModel) -> Repository:
    """Return the model files that Hugging Face lists, without those whose size or hash it does not say."""
    files = [
        RepositoryFile(path=file.name, size=file.size, sha256=file.sha256)
        for file in found.files
        if file.size is not None and file.sha256 is not None
    ]
    with pull.objects.database.reading() as session:
        moment = get_database_time(session)
    return Repository(address.repository, found.revision or "", moment, sorted(files, key=lambda file: file.path))


def _check_earlier_import(pull: PullThrough, team: TeamContext, address: HubAddress) -> None:
    """Check that a file at a commit may be imported; raises as ``check_earlier_import``."""
    url = build_file_url(pull.sources.endpoints.huggingface, address.repository, address.revision, address.path)
    check_earlier_import(pull.objects.database, team, address, url)


def _check_pickle_policy(pull: PullThrough, team: TeamContext, address: HubAddress) -> None:
    """Check that the team accepts a file of this name; raises ``NotAModelFile``, as its import would."""
    with pull.objects.database.reading() as session:
        policy = load_pickle_policy(session, team.team_id)
    if policy == "block" and find_format(address.path) == "pickle":
        check_policy("block")


def _start(pull: PullThrough, team: TeamContext, address: HubAddress, found: FoundModel) -> StartedImport:
    """Start the import of a file, at a path with its commit if other content has the one without it."""
    folders, names = address.repository.split("/"), _join_first(address.path.split("/"), _MAX_NAMES)
    try:
        new = _build_import(found, [*folders, *names])
        return start_import(pull.objects, team, pull.settings, pull.sources, new, keeps_record=True)
    except problems.ModelPathTaken:
        new = _build_import(found, [*folders, address.revision, *names])
        return start_import(pull.objects, team, pull.settings, pull.sources, new, keeps_record=True)


def _join_first(names: list[str], count: int) -> list[str]:
    """Return at most ``count`` names, of which the first one is joined of several if there are more."""
    surplus = len(names) - count
    return names if surplus <= 0 else ["_".join(names[: surplus + 1]), *names[surplus + 1 :]]


def _build_import(found: FoundModel, names: list[str]) -> NewImport:
    """Return the import of a file as its source describes it, at a path of these names below its type folder."""
    draft = build_draft(found)
    return NewImport(
        url=draft.url,
        file_size=draft.size,
        file_hash=draft.hashes.sha256,
        display_name=draft.display_name,
        model_type=draft.model_type,
        model_path="/".join([draft.model_type, *map(clean_file_name, names)]),
        required_labels=[LABEL],
        source_url=draft.source.page_url,
        sidecar=Sidecar(base_model=draft.base_model, trigger_words=draft.trigger_words, license=draft.license),
    )


def _record_request(pull: PullThrough, team: TeamContext, address: HubAddress, import_id: UUID) -> None:
    """Record in the audit trail that a client's request has started an import."""
    facts = {"repository": address.repository, "revision": address.revision, "path": address.path}
    with pull.objects.database.writing(team.team_id) as session:
        audit.record(session, team.actor, team.team_id, "import.requested", import_id, **facts)
