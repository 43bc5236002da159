"""The application: the only place that wires parts together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from modelyard import __version__
from modelyard.server import health, problems
from modelyard.server.accounts import routes as accounts
from modelyard.server.agents import routes as agents
from modelyard.server.agents.state import Fleet
from modelyard.server.chores import Chores
from modelyard.server.credentials import pairing_routes
from modelyard.server.credentials import routes as credentials
from modelyard.server.inbound import ExactMethods, StrictBodies
from modelyard.server.invitations import routes as invitations
from modelyard.server.models import routes as models
from modelyard.server.observed import Metrics, Observed
from modelyard.server.page.files import read_page
from modelyard.server.page.serving import Page
from modelyard.server.parts import Parts
from modelyard.server.storage.blob_store import NoSuchKey, NoSuchUpload, StoreError, StoreFull
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_routes import blob_app
from modelyard.server.storage.s3 import S3Store
from modelyard.server.storage.walls import WalledStore
from modelyard.server.teams import routes as teams
from modelyard.server.uploads import routes as uploads
from modelyard.server.verification.gauges import VerificationGauges
from modelyard.wire.problems import Problem, StorageFull, Unavailable, UploadNotFound
from modelyard.wire.shapes import ProblemBody

DESCRIPTION = "The self-hosted model registry for ComfyUI teams. Errors are RFC 9457 problems."

# In the order in which people read of them.
SLICES = (accounts, credentials, pairing_routes, teams, invitations, models, uploads, agents)
TAGS = ("accounts", "credentials", "pairing", "teams", "audit", "invitations", "models", "uploads", "agents")

# What makes an object, the parameter that names the object in an address, and the operations that have it.
LINKS = (
    (
        "create_model",
        "model_id",
        ("read_model", "change_model", "delete_model", "restore_model", "download_model", "list_agents_of_model"),
    ),
    ("create_credential", "credential_id", ("revoke_credential",)),
    ("create_invitation", "invitation_id", ("delete_invitation",)),
)


def create_app(parts: Parts) -> FastAPI:
    """The registry as an ASGI application over open parts; its lifespan runs the chores."""
    app = FastAPI(
        title="Modelyard",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        swagger_ui_oauth2_redirect_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    metrics = Metrics()
    metrics.registry.register(VerificationGauges(parts.database))
    app.state.parts = parts
    app.state.settings, app.state.database = parts.settings, parts.database
    app.state.store = parts.store if isinstance(parts.store, LocalStore) else WalledStore(parts.store)
    app.state.identity = parts.identity
    app.state.fleet = Fleet(parts.database)
    app.state.metrics = metrics
    _mount_routes(app, parts)
    problems.install(app)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_middleware(StrictBodies)
    app.add_middleware(ExactMethods, methods=_methods(app))
    if parts.settings.cors_origins:
        _allow_origins(app, parts.settings.cors_origins)
    app.add_middleware(Observed, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the framework's own way to change the document
    return app


def _mount_routes(app: FastAPI, parts: Parts) -> None:
    api = APIRouter(prefix="/api/v1")
    # A request is held against them one after the other, and machines ask most often: so theirs come first.
    for slice_routes in reversed(SLICES):
        api.include_router(slice_routes.router)
    app.include_router(api)
    app.include_router(health.router)
    _mount_docs(app)
    if isinstance(parts.store, LocalStore):
        app.mount("/blobs", blob_app(parts.store))
    app.router.default = Page(read_page(), _upload_origins(parts), app.router.default)


def _upload_origins(parts: Parts) -> list[str]:
    """Where a browser sends bytes, if not to the address of the page."""
    if isinstance(parts.store, S3Store):
        return [parts.store.public_origin]
    return [parts.settings.public_url] if parts.settings.public_url else []


def _methods(app: FastAPI) -> dict[str, frozenset[str]]:
    """The methods of each address of the API."""
    found: dict[str, frozenset[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.path and route.methods:
            found[route.path] = found.get(route.path, frozenset()) | route.methods
    return found


def _mount_docs(app: FastAPI) -> None:
    """The page of the API, with assets from our own disk. It keeps no token: that would outlive the session."""
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]))

    @app.get("/docs", include_in_schema=False)
    async def show_docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=str(app.openapi_url),
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon-32x32.png",
            swagger_ui_parameters={"persistAuthorization": False, "validatorUrl": None},
        )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    chores = Chores(app.state.parts, app.state.metrics)
    chores.start()
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(chores.stop)


def _allow_origins(app: FastAPI, origins: tuple[str, ...]) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
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
    """What a store could not do and no slice had words for."""
    kinds: dict[type[Exception], Problem] = {
        StoreFull: StorageFull("The registry's disk is full. Nothing of this request was kept."),
        NoSuchUpload: UploadNotFound("There is no such upload."),
        NoSuchKey: Unavailable("The store has lost these bytes. Ask the operator.", retry_after=60),
    }
    return problems.answer(
        request, kinds.get(type(error), Unavailable("The store does not answer. Try again.", retry_after=2))
    )


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document, with the one body that every problem has."""
    if not app.openapi_schema:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document["components"]["schemas"]
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        shape = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= shape.pop("$defs", {}) | {"ProblemBody": shape}
        document["paths"] = dict(sorted(document["paths"].items(), key=_place))
        for path in document["paths"].values():
            for method, operation in path.items():
                problems.complete_operation(method, operation)
                _link(operation)
        app.openapi_schema = problems.with_whole_numbers(document)
    return app.openapi_schema


def _place(path: tuple[str, dict[str, Any]]) -> int:
    """Where the document has a path: by its slice, those of no slice last."""
    tags = [tag for operation in path[1].values() for tag in operation.get("tags", ())]
    return min((TAGS.index(tag) for tag in tags if tag in TAGS), default=len(TAGS))


def _link(operation: dict[str, Any]) -> None:
    """Say which operations take the id that this one answers."""
    for name, parameter, followers in LINKS:
        if operation["operationId"] == name:
            operation["responses"]["201"]["links"] = {
                follower: {"operationId": follower, "parameters": {parameter: "$response.body#/id"}}
                for follower in followers
            }
