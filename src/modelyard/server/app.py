"""Builds the ASGI application: the only module that wires the packages of the server together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware

from modelyard import __version__
from modelyard.server import health
from modelyard.server.accounts import routes as accounts
from modelyard.server.agents import routes as agents
from modelyard.server.agents.desired_counts import DesiredCounts
from modelyard.server.agents.metrics import MachineMetrics
from modelyard.server.agents.state import Fleet
from modelyard.server.collections import routes as collections
from modelyard.server.collections.rollouts import routes as rollouts
from modelyard.server.credentials import pairing_routes as pairing
from modelyard.server.credentials import routes as credentials
from modelyard.server.database.engine import is_sqlite
from modelyard.server.http import problems
from modelyard.server.http.api_docs import mount_api_docs
from modelyard.server.http.descriptors import MAX_CONNECTIONS
from modelyard.server.http.json_body import BODY_BYTES, PUBLIC_BODY_BYTES, BodyBudget, build_parsing_limiter
from modelyard.server.http.middleware.exact_methods import ExactMethods
from modelyard.server.http.middleware.head_requests import HeadRequests
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.http.middleware.request_context import RequestContext
from modelyard.server.http.openapi_document import mount_openapi
from modelyard.server.http.operation_limiter import (
    build_heartbeat_limiter,
    build_read_limiter,
    build_registration_limiter,
    build_write_limiter,
)
from modelyard.server.http.waiting.places import build_waiting_places
from modelyard.server.hub import routes as hub
from modelyard.server.identity.authentication_limiter import AuthenticationLimiter
from modelyard.server.imports import conversion_routes as conversions
from modelyard.server.imports import routes as imports
from modelyard.server.imports import source_check_routes as source_checks
from modelyard.server.imports.routes import build_lookup_limiter
from modelyard.server.imports.sources.lookup import open_sources
from modelyard.server.imports.tokens import routes as source_tokens
from modelyard.server.invitations import routes as invitations
from modelyard.server.models import batch_routes as batches
from modelyard.server.models import routes as models
from modelyard.server.models import trusted_file_routes as trusted_files
from modelyard.server.models import version_routes as versions
from modelyard.server.models.listing.facet_cache import FacetCache
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.openapi import build_openapi
from modelyard.server.page.files import read_page
from modelyard.server.page.serving import Page
from modelyard.server.previews import routes as previews
from modelyard.server.previews.metrics import PreviewMetrics
from modelyard.server.previews.request_decoding import build_picture_budget, build_picture_limiter, build_png_limiter
from modelyard.server.resources import Resources
from modelyard.server.scheduler.scheduler import Scheduler
from modelyard.server.storage.blob_store import BlobStore, StoreError
from modelyard.server.storage.bulkhead import BulkheadStore
from modelyard.server.storage.local.routes import build_blob_app
from modelyard.server.storage.problems import get_api_problem
from modelyard.server.storage.stat_cache import StatCache
from modelyard.server.teams import audit_routes as audit
from modelyard.server.teams import routes as teams
from modelyard.server.uploads import routes as uploads
from modelyard.server.verification.metrics import VerificationMetrics
from modelyard.server.webhooks import routes as webhooks
from modelyard.server.webhooks.routes import build_address_limiter
from modelyard.server.workflows import routes as workflows
from modelyard.server.workflows.request_reading import build_workflow_budget, build_workflow_limiter

DESCRIPTION = "The self-hosted model registry for ComfyUI teams. Errors are RFC 9457 problems."

# Routes are matched one after the other: first those of machines, which send most requests, then those of models.
API_ROUTERS = (
    *(agents.router, models.router, versions.router, previews.router, batches.router, uploads.router),
    *(
        workflows.router,
        collections.model_router,
        collections.router,
        rollouts.router,
        imports.router,
        source_checks.router,
    ),
    *(source_tokens.router, webhooks.router, trusted_files.router, conversions.router, invitations.router),
    *(teams.team_router, teams.member_router, audit.router, pairing.router, credentials.router, accounts.router),
)


def create_app(resources: Resources, max_connections: int = MAX_CONNECTIONS) -> FastAPI:
    """Build the registry's ASGI application over open resources; its lifespan runs the jobs.

    ``max_connections`` is how many the process may have; it bounds the requests that wait.
    """
    app = FastAPI(
        title="Modelyard",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        openapi_url=None,
        swagger_ui_oauth2_redirect_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    fleet = app.state.fleet = Fleet(resources.database, build_waiting_places(max_connections))
    metrics = _attach_resources(app, resources, fleet.desired_counts)
    app.state.identity = resources.identity
    app.state.body_budget, app.state.public_body_budget = BodyBudget(BODY_BYTES), BodyBudget(PUBLIC_BODY_BYTES)
    app.state.parsing_limiter = build_parsing_limiter()
    app.state.authentication_limiter = AuthenticationLimiter()
    app.state.read_limiter = build_read_limiter()
    app.state.picture_budget, app.state.picture_limiter = build_picture_budget(), build_picture_limiter()
    app.state.png_limiter = build_png_limiter()
    app.state.workflow_budget, app.state.workflow_limiter = build_workflow_budget(), build_workflow_limiter()
    app.state.sources, app.state.lookup_limiter = open_sources(resources.settings), build_lookup_limiter()
    app.state.conversion_limiter = conversions.build_conversion_limiter()
    app.state.address_limiter = build_address_limiter()
    app.state.registration_limiter = build_registration_limiter()
    app.state.heartbeat_limiter = build_heartbeat_limiter()
    app.state.write_limiter = build_write_limiter(has_one_writer=is_sqlite(resources.database.engine))
    app.state.facet_cache = FacetCache()
    app.state.object_checks = _build_object_checks(resources, app.state.store, metrics)
    _mount_routes(app, resources)
    problems.install_handlers(app)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_middleware(ExactMethods, methods=_collect_methods(app))
    app.add_middleware(HeadRequests)
    if resources.settings.cors_origins:
        _allow_origins(app, resources.settings.cors_origins)
    app.add_middleware(RequestContext, metrics=metrics)
    app.openapi = lambda: build_openapi(app)  # type: ignore[method-assign]  # the framework's own way to change the document
    return app


def create_worker_app(resources: Resources) -> FastAPI:
    """Build the application of a process without the API: its lifespan runs the jobs, its routes are for monitoring.

    The routes are ``/healthz``, ``/readyz`` and ``/metrics``.
    """
    app = FastAPI(title="Modelyard worker", openapi_url=None, lifespan=_lifespan, redirect_slashes=False)
    metrics = _attach_resources(app, resources, DesiredCounts())
    app.router.routes.extend(health.router.routes)
    problems.install_handlers(app)
    app.add_middleware(HeadRequests)
    app.add_middleware(RequestContext, metrics=metrics)
    return app


def _attach_resources(app: FastAPI, resources: Resources, desired_counts: DesiredCounts) -> Metrics:
    """Put the resources that monitoring and jobs need into ``app.state``; return new metrics."""
    metrics = Metrics()
    metrics.registry.register(VerificationMetrics(resources.database))
    metrics.registry.register(PreviewMetrics(resources.database))
    metrics.registry.register(MachineMetrics(resources.database, desired_counts))
    app.state.resources, app.state.metrics = resources, metrics
    app.state.settings, app.state.database = resources.settings, resources.database
    app.state.store = BulkheadStore(resources.store) if resources.store.is_remote else resources.store
    app.state.monitoring = health.Monitoring(
        resources.database, app.state.store, resources.capabilities, metrics.registry
    )
    return metrics


def _build_object_checks(resources: Resources, store: BlobStore, metrics: Metrics) -> ObjectChecks:
    """Build the checks before a download: local files are checked each time, a bucket's objects through a cache."""
    stat_cache = StatCache(store) if store.is_remote else None
    checks = ObjectChecks(resources.database, store, metrics, resources.recheck_requests, stat_cache)
    resources.database.add_subscriber(checks.on_announcement)
    return checks


def begin_stop(app: FastAPI) -> None:
    """End requests that wait for changes, and ask the jobs to stop, so that the shutdown does not wait for them.

    The lifespan must have begun.
    """
    app.state.scheduler.begin_stop()
    # The application of a worker has no waiting machines.
    if hasattr(app.state, "fleet"):
        app.state.fleet.waiters.stop()


def _mount_routes(app: FastAPI, resources: Resources) -> None:
    """Mount the API, its documents, monitoring, a folder's signed URLs and, for all other paths, the page."""
    for router in (*API_ROUTERS, hub.router, health.router):
        app.router.routes.extend(router.routes)
    mount_openapi(app)
    mount_api_docs(app)
    url_server = resources.store.get_url_server()
    if url_server is not None:
        app.mount("/blobs", build_blob_app(url_server, app.state.object_checks.check_before_sending))
    app.router.default = Page(read_page(), _list_upload_origins(resources), app.router.default)


def _list_upload_origins(resources: Resources) -> list[str]:
    """Return the origins, other than the page's own, to which a browser uploads files."""
    if resources.store.public_origin is not None:
        return [resources.store.public_origin]
    return [resources.settings.public_url] if resources.settings.public_url else []


def _collect_methods(app: FastAPI) -> dict[str, frozenset[str]]:
    """Return the HTTP methods of each path template of the routes that are mounted so far; with GET also HEAD."""
    found: dict[str, frozenset[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.path and route.methods:
            head = {"HEAD"} if "GET" in route.methods else set()
            found[route.path] = found.get(route.path, frozenset()) | route.methods | head
    return found


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the jobs while the application serves; at the end, wait for them briefly."""
    scheduler = app.state.scheduler = Scheduler(app.state.resources, app.state.metrics)
    scheduler.start()
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(scheduler.stop)


def _allow_origins(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let pages of these origins call the API, with cookies."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "X-Team-ID",
            "X-Session",
            "If-Match",
            "If-None-Match",
            "X-Request-ID",
            "x-amz-checksum-sha256",
        ],
        expose_headers=["ETag", "X-Request-ID", "Retry-After"],
        allow_credentials=True,
    )


async def _on_store_error(request: Request, error: Exception) -> JSONResponse:
    """Send the problem for a store error that the route did not handle."""
    return problems.build_response(request, get_api_problem(error))
