"""``/healthz`` (alive), ``/readyz`` (can serve), ``/metrics``."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from sqlalchemy import text

from modelyard.server.database.migrations import schema_state
from modelyard.server.database.session import Database, Db
from modelyard.server.problems import answers
from modelyard.server.storage.blob_store import BlobStore, Honesty, StoreError
from modelyard.server.storage.injected import Store
from modelyard.wire.problems import Problem
from modelyard.wire.shapes import Shape

router = APIRouter(tags=["operation"])


class Health(Shape):
    """Alive."""

    status: str = Field(default="ok", description="Always `ok`.", examples=["ok"])


class Readiness(Shape):
    """What this server needs, part by part."""

    status: str = Field(description="`ready` or `not ready`.", examples=["ready"])
    database: str = Field(description="`ok`, or what is wrong.", examples=["ok"])
    schema_state: str = Field(description="`current`, or what is wrong.", examples=["current"])
    store: str = Field(description="`ok`, or what is wrong.", examples=["ok"])
    store_honesty: dict[str, Any] = Field(
        description="What the store was seen to enforce at start.", examples=[{"refuses_overwrite": True}]
    )
    free_bytes: int | None = Field(description="Room for models, where the store can tell.", examples=[500_000_000_000])


@router.get("/healthz")
async def read_health() -> Health:
    """Tell that the process is alive."""
    return Health()


@router.get(
    "/readyz", responses={503: {"model": Readiness, "description": "Something that the registry needs is missing."}}
)
def read_readiness(request: Request, database: Db, store: Store) -> JSONResponse:
    """Tell whether the registry can serve."""
    found = _readiness(database, store, request.app.state.parts.honesty)
    ready = found.status == "ready"
    return JSONResponse(found.model_dump(mode="json"), 200 if ready else 503, {} if ready else {"Retry-After": "5"})


def _readiness(database: Database, store: BlobStore, honesty: Honesty | None) -> Readiness:
    database_state, schema, store_state, free = "ok", "unknown", "ok", None
    try:
        with database.reading() as session:
            session.execute(text("SELECT 1"))
        schema = schema_state(database.engine)
    except Problem as problem:
        database_state = problem.detail
    try:
        free = store.free_bytes()
    except (StoreError, OSError) as error:
        store_state = f"{type(error).__name__}: the store does not answer."
    ready = database_state == "ok" and schema == "current" and store_state == "ok"
    return Readiness(
        status="ready" if ready else "not ready",
        database=database_state,
        schema_state=schema,
        store=store_state,
        store_honesty={} if honesty is None else vars(honesty),
        free_bytes=free,
    )


@router.get("/metrics", responses=answers(also={200: {"content": {"text/plain": {}}}}), response_class=Response)
async def read_metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
