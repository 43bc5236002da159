"""Modelyard: the self-hosted model registry for ComfyUI teams.

import modelyard
modelyard.push("ink.safetensors", model_type="loras")
with modelyard.Registry() as registry:
    for model in registry.models("type:loras"):
        print(model.display_name)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelyard.client.python_api.async_registry import AsyncRegistry
    from modelyard.client.python_api.registry import Registry, pull, push
    from modelyard.client.resolve_models import ModelAmbiguous
    from modelyard.client.transfers.collect import Notes
    from modelyard.transfer.errors import TransferFailed
    from modelyard.wire import problems
    from modelyard.wire.models import Model, ModelUpdate
    from modelyard.wire.problems import Problem

__version__ = "0.3.0"
__all__ = [
    "AsyncRegistry",
    "Model",
    "ModelAmbiguous",
    "ModelUpdate",
    "Notes",
    "Problem",
    "Registry",
    "TransferFailed",
    "__version__",
    "problems",
    "pull",
    "push",
]

# Where the public names are; loaded at their first use, so that `import modelyard` and `modelyard --version` are quick.
_HOMES = {
    "AsyncRegistry": "modelyard.client.python_api.async_registry",
    "Model": "modelyard.wire.models",
    "ModelAmbiguous": "modelyard.client.resolve_models",
    "ModelUpdate": "modelyard.wire.models",
    "Notes": "modelyard.client.transfers.collect",
    "Problem": "modelyard.wire.problems",
    "Registry": "modelyard.client.python_api.registry",
    "TransferFailed": "modelyard.transfer.errors",
    "pull": "modelyard.client.python_api.registry",
    "push": "modelyard.client.python_api.registry",
}


def __getattr__(name: str) -> Any:
    if name == "problems":
        return importlib.import_module("modelyard.wire.problems")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'modelyard' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
