"""``/models/{model_id}/check-source`` and ``/source-checks``: ask the sources of models for newer versions."""

from functools import partial

from fastapi import Request

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.params import CurrentCipher, PathId
from modelyard.server.http.problems import answers
from modelyard.server.imports import source_check_runs, source_checks
from modelyard.server.imports.routes import Importing, Reading, SourcesState
from modelyard.server.models.operations import parse_model_id
from modelyard.server.teams.context import ACCESS_PROBLEMS
from modelyard.wire import problems
from modelyard.wire.imports.source_checks import SourceCheckRun, SourceChecks
from modelyard.wire.models import SourceCheck

router = ApiRouter("imports")


@router.post(
    "/models/{model_id}/check-source",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.ModelNotFound,
        problems.LinkRefused,
        problems.SourceNotFound,
        problems.SourceRestricted,
        problems.SourceUnavailable,
    ),
)
async def check_source(
    model_id: PathId, team: Importing, sources: SourcesState, cipher: CurrentCipher, request: Request
) -> SourceCheck:
    """Ask the source of a model (Hugging Face or Civitai) whether it has a newer version."""
    limiter: OperationLimiter = request.app.state.lookup_limiter
    parsed = parse_model_id(model_id)
    check = partial(source_checks.check_source, request.app.state.database, cipher, sources, team, parsed)
    found: SourceCheck = await limiter.run(team.account, check)
    return found


@router.post("/source-checks", responses=answers(*ACCESS_PROBLEMS))
def start_source_checks(team: Importing, database: Db) -> SourceCheckRun:
    """Ask the sources of all models whether they have newer versions, one after the other; one check at a time."""
    return source_check_runs.start_source_checks(database, team)


@router.get("/source-checks", responses=answers(*ACCESS_PROBLEMS))
def read_source_checks(team: Reading, database: Db) -> SourceChecks:
    """Read how far the last check of all models is."""
    with database.reading() as session:
        return source_check_runs.read_source_checks(session, team)
