"""The OpenAPI document of small applications: how it is built and served."""

import asyncio
import threading
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import BaseModel

from modelyard.server.http.openapi_document import OPENAPI_PATH, mount_openapi
from modelyard.server.openapi import build_openapi


class Folder(BaseModel):
    """A folder; its schema refers to itself."""

    name: str = "loras"
    folders: "list[Folder]" = []


class Tree(BaseModel):
    """A response, whose fields are always sent."""

    depth: int = 1


def test_build_openapi_recursive_request_schema_keeps_its_defaults() -> None:
    app = FastAPI()

    @app.post("/trees", tags=["models"], operation_id="create_tree")
    def create_tree(folder: Folder) -> Tree:
        return Tree()

    schemas = build_openapi(app)["components"]["schemas"]
    assert schemas["Folder"]["properties"]["name"]["default"] == "loras"
    assert "default" not in schemas["Tree"]["properties"]["depth"]


async def test_get_openapi_many_requests_build_the_document_once_in_a_thread() -> None:
    app = FastAPI(openapi_url=None)
    threads: list[threading.Thread] = []

    def build_document() -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {"openapi": "3.1.0"}

    app.openapi = build_document  # type: ignore[method-assign]  # the framework's own way to change the document
    mount_openapi(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://registry.test") as client:
        answers = await asyncio.gather(*(client.get(OPENAPI_PATH) for _ in range(5)))
        answers.append(await client.get(OPENAPI_PATH))

    assert [answer.json() for answer in answers] == [{"openapi": "3.1.0"}] * 6
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
