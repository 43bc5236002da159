"""Models that tests push to a registry and pull from it."""

import asyncio
from pathlib import Path

from modelyard.client.api.download_urls import DownloadUrls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.pull import Destination, Pulled, pull
from modelyard.client.transfers.push import Pusher
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model
from tests.client.model_files import write_model_file


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
