"""The API's documentation page at ``/docs``: Swagger UI under a content security policy."""

import mimetypes
import secrets

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from modelyard.server.http.middleware.security_headers import build_api_docs_policy
from modelyard.server.http.openapi_document import OPENAPI_PATH

router = APIRouter()


def mount_api_docs(app: FastAPI) -> None:
    """Mount the documentation page, with assets from this server.

    It stores no token, which would outlive the session.
    """
    # Reads the system's list of media types, which the first asset's request would do on the event loop.
    if not mimetypes.inited:
        mimetypes.init()
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]))
    app.router.routes.extend(router.routes)


@router.get("/docs", include_in_schema=False)
async def show_docs(request: Request) -> HTMLResponse:
    """Return the page, with a nonce of its own in script and policy."""
    nonce = secrets.token_urlsafe(16)
    page = get_swagger_ui_html(
        openapi_url=OPENAPI_PATH,
        title=request.app.title,
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon-32x32.png",
        swagger_ui_parameters={"persistAuthorization": False, "validatorUrl": None},
    )
    text = bytes(page.body).decode().replace("<script>", f'<script nonce="{nonce}">')
    return HTMLResponse(text, headers={"Content-Security-Policy": build_api_docs_policy(nonce)})
