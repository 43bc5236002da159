"""Metadata that trainers and tools write into a model: base model, tags, trigger words, licence, how it was trained.

Known writers: kohya-ss sd-scripts and musubi-tuner (``ss_*``), the Stability model specification (``modelspec.*``),
AI Toolkit, OneTrainer, diffusers, mflux.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.server.inspection.description.base_models import Claim
from modelyard.server.inspection.description.layers import Layers
from modelyard.server.inspection.description.training_sets import (
    TrainingSet,
    build_training_tags,
    parse_table,
    parse_training_sets,
)
from modelyard.server.inspection.description.trigger_words import find_trigger_words
from modelyard.server.inspection.metadata import clean_entries, clean_list
from modelyard.wire.texts.cleaning import clean_text

TOP_TAGS = 20
# Entries in which a file claims a hash of its content.
CLAIM_NAMES = ("modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash")
# Entries that name the base model: the very file, or its architecture, which fine-tuned base models share.
_EXACT_BASE_KEYS = ("ss_sd_model_name", "modelspec.merged_from", "base_model")
_BASE_KEYS = ("ss_base_model_version", "modelspec.architecture")
_STORED_KEYS = (
    "modelspec.title",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.author",
    "modelspec.license",
    "modelspec.description",
    "modelspec.usage_hint",
    "modelspec.date",
    "modelspec.resolution",
    "modelspec.prediction_type",
    "modelspec.trigger_phrase",
    "modelspec.merged_from",
    "modelspec.sai_model_spec",
    "instance_prompt",
    "base_model",
    "ss_base_model_version",
    "ss_sd_model_name",
    "ss_output_name",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_resolution",
    "ss_num_train_images",
    "ss_num_epochs",
    "ss_v2",
    "format",
    *CLAIM_NAMES,
)
_RESOLUTION = re.compile(r"\D{0,3}(\d{1,5})\D{1,4}(\d{1,5})\D{0,3}\Z")
# OneTrainer copies title, author and license of the base model into LoRAs (its sd_xl_base_1.0-lora.json).
_STOCK_TITLE = "Stable Diffusion XL 1.0 Base LoRA"
_STOCK_AUTHOR = "StabilityAI"


@dataclass(frozen=True)
class TrainingMetadata:
    """Declared metadata, cleaned and truncated; ``claims`` and ``architecture`` are unchecked."""

    claims: list[Claim]
    architecture: str | None
    tags: list[str]
    trigger_words: list[dict[str, str]]
    training_tags: list[dict[str, Any]]
    details: dict[str, Any]
    entries: dict[str, Any]


def parse_training_metadata(metadata: Mapping[str, str]) -> TrainingMetadata:
    """Select and clean the known entries of a safetensors ``__metadata__``; at most 20 tags and 20 trigger words.

    Never raises: what cannot be parsed counts as absent.
    """
    sets = parse_training_sets(metadata)
    listed_tags = metadata.get("modelspec.tags", "")[:4_000]
    architecture = clean_text(metadata.get("modelspec.architecture", ""), 100)
    return TrainingMetadata(
        claims=_list_claims(metadata),
        architecture=architecture or None,
        tags=clean_list(listed_tags.split(","), TOP_TAGS),
        trigger_words=find_trigger_words(metadata, sets),
        training_tags=build_training_tags(sets),
        details=_build_details(metadata, sets),
        entries=clean_entries({key: metadata[key] for key in _STORED_KEYS if key in metadata}),
    )


def add_tensor_details(details: Mapping[str, Any], layers: Layers) -> dict[str, Any]:
    """Return the details with what the tensors tell where the metadata does not: network, rank, prediction type."""
    rank = layers.get_rank()
    known = {
        "network": "/".join(sorted(layers.adapter_kinds)) or None,
        "rank": None if rank is None else str(rank),
        # Empty tensors that merging tools add to models with v-prediction.
        "prediction_type": "v" if {"v_pred", "ztsnr"} & set(layers.names) else None,
    }
    return {name: value for name, value in known.items() if value is not None} | dict(details)


def _list_claims(metadata: Mapping[str, str]) -> list[Claim]:
    """Return what the file claims as its base model, the most exact first."""
    exact = [Claim("metadata", metadata[key]) for key in _EXACT_BASE_KEYS if key in metadata]
    return exact + [Claim("metadata", metadata[key], is_exact=False) for key in _BASE_KEYS if key in metadata]


def _build_details(metadata: Mapping[str, str], sets: list[TrainingSet]) -> dict[str, Any]:
    """Return the fields of ``wire.model_details.ModelDetails`` that the file declares."""
    is_stock = metadata.get("modelspec.title") == _STOCK_TITLE and metadata.get("modelspec.author") == _STOCK_AUTHOR
    details = {
        "author": None if is_stock else _get_text(metadata, "modelspec.author"),
        "license": None if is_stock else _get_text(metadata, "modelspec.license", 200),
        "usage_hint": _get_text(metadata, "modelspec.usage_hint", 1_000),
        "resolution": _find_resolution(metadata),
        "network": _find_network(metadata),
        "rank": _get_text(metadata, "ss_network_dim", 20),
        "alpha": _get_text(metadata, "ss_network_alpha", 20),
        "prediction_type": _get_text(metadata, "modelspec.prediction_type", 20),
        "trainer": _find_trainer(metadata),
        "image_count": sum(each.image_count for each in sets) or None,
        "steps": _find_steps(metadata),
    }
    return {name: value for name, value in details.items() if value is not None}


def _get_text(metadata: Mapping[str, str], key: str, limit: int = 100) -> str | None:
    """Return a cleaned entry; None if it is absent, empty or Python's None as text."""
    text = clean_text(metadata.get(key, ""), limit)
    return None if text in ("", "None") else text


def _find_resolution(metadata: Mapping[str, str]) -> str | None:
    """Return the resolution as ``<width>x<height>``; sd-scripts writes ``(1024, 1024)`` or ``1024,1024``."""
    for key in ("ss_resolution", "modelspec.resolution"):
        found = _RESOLUTION.match(metadata.get(key, "")[:40])
        if found:
            return f"{int(found[1])}x{int(found[2])}"
    return None


def _find_network(metadata: Mapping[str, str]) -> str | None:
    """Return the kind of network: the algorithm of LyCORIS, or else the trainer's module."""
    arguments = parse_table(metadata, "ss_network_args")
    algorithm = arguments.get("algo") if isinstance(arguments, dict) else None
    if isinstance(algorithm, str):
        name = clean_text(algorithm, 40)
        return {"lora": "LoRA", "locon": "LoCon", "loha": "LoHa", "lokr": "LoKr"}.get(name.lower(), name) or None
    module = _get_text(metadata, "ss_network_module")
    # Of "networks.lora_flux" the rest names the base model.
    return None if module is None else "LoRA" if "lora" in module.lower() else module


def _find_trainer(metadata: Mapping[str, str]) -> str | None:
    """Return the name of the program that trained the model."""
    software = parse_table(metadata, "software")
    name = software.get("name") if isinstance(software, dict) else None
    if isinstance(name, str) and clean_text(name, 60):
        return clean_text(name, 60)
    if any(key.startswith("ot_") for key in metadata):
        return "OneTrainer"
    is_kohya = metadata.get("modelspec.implementation_version", "").startswith("sd-scripts/")
    return "sd-scripts" if is_kohya or "ss_sd_scripts_commit_hash" in metadata else None


def _find_steps(metadata: Mapping[str, str]) -> int | None:
    """Return the number of training steps: ``ss_steps`` of sd-scripts, or that in AI Toolkit's ``training_info``."""
    text = metadata.get("ss_steps", "")
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return int(text)
    information = parse_table(metadata, "training_info")
    steps = information.get("step") if isinstance(information, dict) else None
    return steps if type(steps) is int and 0 <= steps < 10**12 else None
