"""The store as a route parameter, and its signed requests as absolute links."""

from typing import Annotated

from fastapi import Depends, Request

from modelyard.server.storage.blob_store import BlobStore, SignedRequest


async def open_store(request: Request) -> BlobStore:
    store: BlobStore = request.app.state.store
    return store


Store = Annotated[BlobStore, Depends(open_store)]


def absolute(public_url: str, request: SignedRequest) -> str:
    """The URL for a client: the embedded store's are served by this registry, a bucket's are whole already."""
    return public_url + request.url if request.url.startswith("/") else request.url
