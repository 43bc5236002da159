"""Small folders that are one model for tests, which are pushed to and pulled from a real registry."""

import asyncio
import json
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import ModelOverrides, build_model_request
from modelyard.client.transfers.folders.contents import build_folder_request
from modelyard.client.transfers.folders.push import push_folder
from modelyard.client.transfers.pull import Destination, Pulled, pull_folder
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model
from tests.client.model_files import write_model_file

TINY_FILES = ["model_index.json", "tokenizer/merges.txt", "unet/config.json", "unet/model.safetensors"]

PART = "model-00001-of-00002.safetensors"


def write_model_folder(folder: Path, word: str = "ink", size: int = 1000) -> Path:
    """Write a pipeline with one model of ``size`` bytes, and return its path; another word gives other content."""
    for path, content in {
        "model_index.json": json.dumps({"_class_name": "StableDiffusionPipeline", "of": word}),
        "unet/config.json": json.dumps({"sample_size": 64, "of": word}),
        "tokenizer/merges.txt": f"#version: 0.2\n{word}",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    write_model_file(folder / "unet" / "model.safetensors", size, seed=len(word))
    return folder


def write_parts(folder: Path, seed: int = 1) -> Path:
    """Write weights in two parts with their index, and return their folder."""
    parts = [PART, PART.replace("00001-", "00002-")]
    for part in parts:
        write_model_file(folder / part, seed=seed)
    index = {"metadata": {}, "weight_map": {str(number): part for number, part in enumerate(parts)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder by their paths in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


async def push(registry: RegistryApi, settings: ClientSettings, folder: Path) -> Model:
    """Push a folder as a model, or as the next version of the one of its name."""
    overrides = ModelOverrides("diffusers", replace=True)
    request = await asyncio.to_thread(lambda: build_folder_request(build_model_request(folder, overrides)))
    return (await push_folder(registry, settings, request, lambda _: None)).model


async def pull(registry: RegistryApi, model: Model, folder: Path, *, replace: bool = False) -> Pulled:
    """Pull a folder model into a folder."""
    return await pull_folder(registry, model, Destination(folder, replace=replace), ignore_progress)
