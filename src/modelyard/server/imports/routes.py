"""``/imports``: look up links; start, list, read, cancel and retry imports; start several with one request."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Request, Response, status

from modelyard.server.database.session import Db
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentCipher, CurrentSettings, PathId
from modelyard.server.http.problems import answers
from modelyard.server.imports import operations
from modelyard.server.imports.sources.lookup import Sources
from modelyard.server.models.batches import run_each
from modelyard.server.models.routes import Objects
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.batches import ImportBatch, ImportResult, ImportResults
from modelyard.wire.imports.drafts import ImportDraft, ImportLink
from modelyard.wire.imports.jobs import ImportList, ModelImport, NewImport
from modelyard.wire.schemas import Created, Done

router = ApiRouter("imports", prefix="/imports")

# A source may take a minute to answer; the threads that serve other requests must not wait for it.
LOOKUPS = Limits(8, per_person=4, per_team=4)
LOOKUP_WAIT_SECONDS = 30.0

Reading = Annotated[TeamContext, require_permission(Operation.IMPORTS_READ)]
Importing = Annotated[TeamContext, require_permission(Operation.IMPORTS_CHANGE)]


async def get_sources(request: Request) -> Sources:
    """Return the sources of this process; async, so that no thread is needed for it."""
    sources: Sources = request.app.state.sources
    return sources


SourcesState = Annotated[Sources, Depends(get_sources)]


def build_lookup_limiter() -> OperationLimiter:
    """Build the limiter of requests to sources: those of one team never take all threads."""
    busy = "The registry is looking up too many links at this moment. Try again."
    return OperationLimiter(LOOKUPS, busy=busy, queue_seconds=LOOKUP_WAIT_SECONDS)


@router.post(
    "/resolve",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.LinkRefused,
        problems.SourceNotFound,
        problems.SourceRestricted,
        problems.SourceUnavailable,
    ),
)
async def resolve_link(
    link: ImportLink, team: Importing, sources: SourcesState, cipher: CurrentCipher, request: Request
) -> ImportDraft:
    """Look up a link to a model at Hugging Face, Civitai or any https address, and get the draft of its import."""
    limiter: OperationLimiter = request.app.state.lookup_limiter
    resolve = partial(operations.resolve_link, request.app.state.database, cipher, sources, team, link)
    draft: ImportDraft = await limiter.run(team.account, resolve)
    return draft


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.LinkRefused,
        problems.ImportRunning,
        problems.QuotaExceeded,
        problems.ModelPathTaken,
        problems.ModelPathRefused,
        problems.ModelTypeUnknown,
        problems.ModelNotFound,
        problems.NotAModelFile,
        problems.InvalidRequest,
        problems.TooManyUploads,
        problems.StorageFull,
        also={200: {"model": Created, "description": "The same import is queued or running already."}},
    ),
)
def start_import(
    new: NewImport,
    team: Importing,
    objects: Objects,
    settings: CurrentSettings,
    sources: SourcesState,
    response: Response,
) -> Created:
    """Start an import: the registry downloads the file of a confirmed draft, and registers it."""
    started = operations.start_import(objects, team, settings, sources, new)
    if not started.is_new:
        response.status_code = status.HTTP_200_OK
    return Created(id=started.id)


@router.post(
    "/start-batch",
    response_model_exclude_unset=True,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest),
)
def start_imports(
    batch: ImportBatch, team: Importing, objects: Objects, settings: CurrentSettings, sources: SourcesState
) -> ImportResults:
    """Start up to 100 imports, such as those of several files of one draft."""

    def start(new: NewImport) -> ImportResult:
        """Start one import."""
        started = operations.start_import(objects, team, settings, sources, new)
        return ImportResult(status=201 if started.is_new else 200, id=started.id)

    return ImportResults(result_list=run_each(batch.import_list, NewImport, start))


@router.get("", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
def list_imports(team: Reading, database: Db, page: PageParams) -> ImportList:
    """List the imports, newest first."""
    with database.reading() as session:
        return operations.list_imports(session, team, page)


@router.get("/{import_id}", responses=answers(*ACCESS_PROBLEMS, problems.ImportNotFound))
def get_import(import_id: PathId, team: Reading, database: Db) -> ModelImport:
    """Read an import."""
    with database.reading() as session:
        return operations.get_import(session, team, operations.parse_import_id(import_id))


@router.post(
    "/{import_id}/cancel",
    responses=answers(*ACCESS_PROBLEMS, problems.ImportNotFound, problems.ImportFinished),
)
def cancel_import(import_id: PathId, team: Importing, objects: Objects) -> Done:
    """Cancel an import that is queued or running, and delete what is downloaded."""
    operations.cancel_import(objects, team, operations.parse_import_id(import_id))
    return Done()


@router.post(
    "/{import_id}/retry",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.ImportNotFound,
        problems.ImportFinished,
        problems.QuotaExceeded,
        problems.ModelPathTaken,
        problems.ModelPathRefused,
        problems.ModelTypeUnknown,
        problems.ModelNotFound,
        problems.NotAModelFile,
        problems.TooManyUploads,
        problems.StorageFull,
    ),
)
def retry_import(import_id: PathId, team: Importing, objects: Objects, settings: CurrentSettings) -> Done:
    """Run an import again that has failed or was cancelled; one that waits for its next try is run at once."""
    operations.retry_import(objects, team, settings, operations.parse_import_id(import_id))
    return Done()
