"""Requests about the next version of a model that another user moves to another path meanwhile."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from modelyard.client.api.registry import RegistryApi
from modelyard.wire.models import NewModel
from modelyard.wire.problems import InvalidRequest, ModelTypeUnknown
from modelyard.wire.uploads import UploadRequest

Request = TypeVar("Request", UploadRequest, NewModel)
Answer = TypeVar("Answer")


async def follow_model(registry: RegistryApi, request: Request, send: Callable[[Request], Awaitable[Answer]]) -> Answer:
    """Send a request, again if it replaces a model that has another path or type now; return the answer.

    Raises:
        ModelNotFound: the model was deleted meanwhile.
        Problem: see ``send``.
    """
    try:
        return await send(request)
    except (InvalidRequest, ModelTypeUnknown):
        if request.replaces is None:
            raise
        model = await registry.get_model(request.replaces)
        if model.model_path == request.model_path:
            raise
    moved = {"model_type": model.model_type, "model_path": model.model_path}
    return await follow_model(registry, request.model_copy(update=moved), send)
