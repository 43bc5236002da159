"""Converting a pickle file to safetensors, and waiting for the converted model."""

from collections.abc import Callable
from dataclasses import dataclass

from modelyard.client.api.registry import RegistryApi
from modelyard.client.imports import EndedImport, wait_for_import
from modelyard.client.resolve_models import find_model
from modelyard.wire.imports.jobs import ModelImport
from modelyard.wire.models import Model
from modelyard.wire.pickles.conversions import Conversion


@dataclass(frozen=True)
class EndedConversion:
    """The answer to the request, and the ended import, or the model that was converted before."""

    started: Conversion
    result: Model | EndedImport


async def convert_model(registry: RegistryApi, name: str, on_poll: Callable[[ModelImport], None]) -> EndedConversion:
    """Convert the file of a model and wait.

    Raises:
        ModelNotFound, ModelAmbiguous: see ``find_model``.
        ConversionRefused, ModelNotVerified, ModelPathTaken, QuotaExceeded: see the route.
    """
    started = await registry.convert_model((await find_model(registry, name)).id)
    if started.import_id is not None:
        return EndedConversion(started, await wait_for_import(registry, started.import_id, on_poll))
    assert started.model_id is not None  # noqa: S101 - a conversion has one of both
    return EndedConversion(started, await registry.get_model(started.model_id))
