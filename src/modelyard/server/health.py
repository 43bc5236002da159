"""``/healthz`` (alive), ``/readyz`` (can serve), ``/metrics``."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from sqlalchemy import text

from modelyard.server.database.migrations import schema_state
from modelyard.server.database.session import Database, Db
from modelyard.server.problems import answers
from modelyard.server.storage.blob_store import BlobStore, StoreError
from modelyard.server.storage.injected import Store
from modelyard.server.storage.trust import Trust
from modelyard.wire.problems import Problem
from modelyard.wire.shapes import Shape

NO_KEY = UUID(int=0)
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
        description="What the store was seen to enforce; empty until it could be tried.",
        examples=[{"refuses_overwrite": True}],
    )
    free_bytes: int | None = Field(description="Room for models, where the store can tell.", examples=[500_000_000_000])
    whole_bytes: int | None = Field(
        description="How large that room is with all that is in it, where the store can tell.",
        examples=[2_000_000_000_000],
    )


@router.get("/healthz")
async def read_health() -> Health:
    """Tell that the process is alive."""
    return Health()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something that the registry needs is missing."}},
)
def read_readiness(request: Request, database: Db, store: Store) -> JSONResponse:
    """Tell whether the registry can serve."""
    found = _readiness(database, store, request.app.state.parts.trust)
    ready = found.status == "ready"
    return JSONResponse(found.model_dump(mode="json"), 200 if ready else 503, {} if ready else {"Retry-After": "5"})


def _readiness(database: Database, store: BlobStore, trust: Trust) -> Readiness:
    database_state, schema = _database_state(database)
    store_state, free, whole = _store_state(store)
    ready = (database_state, schema, store_state) == ("ok", "current", "ok")
    return Readiness(
        status="ready" if ready else "not ready",
        database=database_state,
        schema_state=schema,
        store=store_state,
        store_honesty={} if trust.honesty is None else vars(trust.honesty),
        free_bytes=free,
        whole_bytes=whole,
    )


def _database_state(database: Database) -> tuple[str, str]:
    """How the database and its schema are, in words."""
    try:
        with database.reading() as session:
            session.execute(text("SELECT 1"))
            return "ok", schema_state(database.engine)
    except Problem as problem:
        return problem.detail, "unknown"


def _store_state(store: BlobStore) -> tuple[str, int | None, int | None]:
    """How the store is, in words, how much room it has, and of how much."""
    try:
        # Any store has to ask its disk or its bucket for this, and there is nothing to find.
        store.stored(f"probe/{NO_KEY}/{NO_KEY}")
        return "ok", store.free_bytes(), store.whole_bytes()
    except StoreError as error:
        return error.detail, None, None
    except OSError as error:
        return f"The store does not answer: {error.strerror or type(error).__name__}.", None, None


@router.get("/metrics", responses=answers(also={200: {"content": {"text/plain": {}}}}), response_class=Response)
def read_metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
