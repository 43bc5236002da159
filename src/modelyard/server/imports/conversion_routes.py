"""``/models/{model_id}/convert``: convert a pickle file to safetensors."""

from functools import partial

from fastapi import Request, Response, status

from modelyard.server.fairness.usage import Limits
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.http.problems import answers
from modelyard.server.imports import conversions
from modelyard.server.imports.conversions import ConversionCandidate
from modelyard.server.imports.routes import Importing
from modelyard.server.models.operations import parse_model_id
from modelyard.server.models.routes import Objects
from modelyard.server.teams.context import ACCESS_PROBLEMS
from modelyard.wire import problems
from modelyard.wire.pickles.conversions import Conversion

# Files that a process reads at a time to plan their conversions, and the requests that wait for that.
PLANS, PLAN_QUEUE = Limits(2, per_person=1, per_team=1), Limits(1_000, per_person=2, per_team=2)
PLAN_WAIT_SECONDS = 30.0

router = ApiRouter("imports", prefix="/models/{model_id}/convert")


def build_conversion_limiter() -> OperationLimiter:
    """Build the limiter of requests that read a file in a sandbox to plan its conversion."""
    busy = "The registry reads another file to convert at this moment. Try again."
    return OperationLimiter(PLANS, busy=busy, queue=PLAN_QUEUE, queue_seconds=PLAN_WAIT_SECONDS)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.ModelNotFound,
        problems.ModelNotVerified,
        problems.ConversionRefused,
        problems.ModelPathTaken,
        problems.RoleTooLow,
        problems.ModelPathRefused,
        problems.ModelTypeUnknown,
        problems.QuotaExceeded,
        problems.TooManyUploads,
        problems.StorageFull,
        also={200: {"model": Conversion, "description": "The same file was converted to this path before."}},
    ),
)
async def convert_model(
    model_id: PathId,
    team: Importing,
    objects: Objects,
    settings: CurrentSettings,
    request: Request,
    response: Response,
) -> Conversion:
    """Convert a pickle file to a new model with the same tensors in safetensors; an import does it."""
    reads: OperationLimiter = request.app.state.read_limiter
    plans: OperationLimiter = request.app.state.conversion_limiter
    find = partial(conversions.find_conversion, objects.database, team, parse_model_id(model_id))
    found: ConversionCandidate | Conversion = await reads.run(team.account, find)
    if isinstance(found, Conversion):
        response.status_code = status.HTTP_200_OK
        return found
    start = partial(conversions.start_conversion, objects, team, settings, found)
    return await plans.run(team.account, start)
