"""Models that tests push to a registry and pull from it."""

import asyncio
from pathlib import Path

from modelyard.client.api.download_urls import DownloadUrls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.pull import Destination, Pulled, pull
from modelyard.client.transfers.push import Pusher
from modelyard.client.transfers.push_results import PushEvent
from modelyard.transfer.progress import Sent, ignore_progress
from modelyard.wire.models import Model
from tests.client.model_files import write_model_file


def build_request(
    file: Path, path: str = "models/loras/ink.safetensors", *, replace: bool = False, note: str | None = None
) -> PushRequest:
    """Build the push of a file with the tag ``portrait`` to a path."""
    return PushRequest(file, path.split("/")[1], path, file.stem, Notes(tags=["portrait"]), replace, note)


def count_sent_bytes(events: list[PushEvent]) -> int:
    """Return how many bytes a push has sent."""
    return max((event.done for event in events if isinstance(event, Sent)), default=0)


async def push_model(
    registry: RegistryApi, settings: ClientSettings, file: Path, path: str, name: str = "Ink"
) -> Model:
    await asyncio.to_thread(write_model_file, file, 1000 + len(path))
    request = PushRequest(file, path.split("/")[1], path, name, Notes(), replace=False)
    model = (await Pusher(registry, settings, lambda _: None).push(request)).model
    assert model is not None
    return model


async def pull_one(registry: RegistryApi, model: Model, destination: Destination) -> Pulled:
    return await pull(DownloadUrls(registry), model, destination, ignore_progress)
