"""The store as a route parameter, and absolute URLs of its signed requests."""

from typing import Annotated

from fastapi import Depends, Request

from modelyard.server.storage.blob_store import BlobStore, SignedRequest


async def get_store(request: Request) -> BlobStore:
    """Return the store of the application that serves this request."""
    store: BlobStore = request.app.state.store
    return store


Store = Annotated[BlobStore, Depends(get_store)]


def build_absolute_url(public_url: str, request: SignedRequest) -> str:
    """Return the absolute URL of a signed request.

    The local store's URLs are relative to the registry's public URL; a bucket's are absolute already.
    """
    return public_url + request.url if request.url.startswith("/") else request.url
