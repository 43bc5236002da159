"""The monitoring routes: ``/healthz`` (the process is alive), ``/readyz`` (it can serve) and ``/metrics``."""

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import Field
from sqlalchemy import text

from modelyard import __version__
from modelyard.build import get_build_id
from modelyard.server.database.migrations import schema_state
from modelyard.server.database.session import Database
from modelyard.server.http.api_route import get_operation_id
from modelyard.server.http.cached_result import CachedResult
from modelyard.server.http.problems import answers
from modelyard.server.storage.blob_store import BlobStore, StoreError
from modelyard.server.storage.capabilities import StoreCapabilities
from modelyard.wire.problems import Problem
from modelyard.wire.schemas import Schema

NO_KEY = UUID(int=0)
router = APIRouter(tags=["operation"], generate_unique_id_function=get_operation_id)


class Health(Schema):
    """The response of a live process."""

    status: Literal["ok"] = Field(default="ok", description="Always `ok`.", examples=["ok"])


class Readiness(Schema):
    """The state of what this server needs: database, schema and store."""

    status: str = Field(description="`ready` or `not ready`.", examples=["ready"])
    version: str = Field(description="The version of modelyard that serves.", examples=["0.3.0"])
    build: str | None = Field(
        description="The commit that it was built from, which tells builds of one version apart; null if unknown.",
        examples=["1f2e3d4c5b6a"],
    )
    database: str = Field(description="`ok`, or what is wrong.", examples=["ok"])
    schema_state: str = Field(description="`current`, or what is wrong.", examples=["current"])
    store: str = Field(description="`ok`, or what is wrong.", examples=["ok"])
    store_capabilities: dict[str, Any] = Field(
        description="What the capability probe found that the store enforces; empty until a probe succeeded.",
        examples=[{"refuses_overwrite": True}],
    )
    free_bytes: int | None = Field(
        description="Free disk space for models; null for a bucket.", examples=[500_000_000_000]
    )
    total_bytes: int | None = Field(
        description="Size of the disk with the models; null for a bucket.",
        examples=[2_000_000_000_000],
    )


class Monitoring:
    """The results of ``/readyz`` and ``/metrics``, cached for a moment, as ``app.state.monitoring``."""

    def __init__(
        self, database: Database, store: BlobStore, capabilities: StoreCapabilities, registry: CollectorRegistry
    ) -> None:
        self.readiness = CachedResult(lambda: _readiness(database, store, capabilities))
        self.metrics = CachedResult(lambda: generate_latest(registry))


@router.get("/healthz")
async def get_health() -> Health:
    """Report that the process is alive."""
    return Health()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something that the registry needs is missing."}},
)
async def get_readiness(request: Request) -> JSONResponse:
    """Report whether the registry can serve."""
    monitoring: Monitoring = request.app.state.monitoring
    found = await monitoring.readiness.get()
    ready = found.status == "ready"
    return JSONResponse(found.model_dump(mode="json"), 200 if ready else 503, {} if ready else {"Retry-After": "5"})


def _readiness(database: Database, store: BlobStore, capabilities: StoreCapabilities) -> Readiness:
    """Check database, schema and store; ``ready`` if all are."""
    database_state, schema = _database_state(database)
    store_state, free, whole = _store_state(store)
    ready = (database_state, schema, store_state) == ("ok", "current", "ok")
    return Readiness(
        status="ready" if ready else "not ready",
        version=__version__,
        build=get_build_id(),
        database=database_state,
        schema_state=schema,
        store=store_state,
        store_capabilities={} if capabilities.probed is None else vars(capabilities.probed),
        free_bytes=free,
        total_bytes=whole,
    )


def _database_state(database: Database) -> tuple[str, str]:
    """Return the state of the database and of its schema: ``ok`` and ``current``, or what is wrong."""
    try:
        with database.reading() as session:
            session.execute(text("SELECT 1"))
            return "ok", schema_state(database.engine)
    except Problem as problem:
        return problem.detail, "unknown"


def _store_state(store: BlobStore) -> tuple[str, int | None, int | None]:
    """Return the state of the store (``ok`` or what is wrong), its free bytes and its total bytes, where known."""
    try:
        # The key never exists, and every store has to query its disk or bucket for it.
        store.stat(f"probe/{NO_KEY}/{NO_KEY}")
        return "ok", store.get_free_bytes(), store.get_total_bytes()
    except StoreError as error:
        return error.detail, None, None
    except OSError as error:
        return f"The store does not answer: {error.strerror or type(error).__name__}.", None, None


@router.get("/metrics", responses=answers(also={200: {"content": {"text/plain": {}}}}), response_class=Response)
async def get_metrics(request: Request) -> Response:
    """Return the metrics in Prometheus text format."""
    monitoring: Monitoring = request.app.state.monitoring
    return Response(await monitoring.metrics.get(), media_type=CONTENT_TYPE_LATEST)
