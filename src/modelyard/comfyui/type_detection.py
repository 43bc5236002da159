"""Detection of a model's type by the first bytes of its file. A suggestion for users, not a validation."""

import json
import re
import struct
from pathlib import Path

from modelyard.wire.formats import find_format

_MAX_HEADER_SIZE = 32 * 1024 * 1024
# What follows the name of a layer in the tensors that a LoRA, or the like, has for it.
_LORA_MARK = re.compile(r"lora_(?:down|up|A|B)|(?<=\.)lora\.|lokr_w|hada_w|dora_scale")
# What follows it in a full model, also if its layers contain LoRAs: Nunchaku's quantized models, and PEFT's unmerged.
_FULL_WEIGHTS = ("weight", "qweight", "base_layer.weight")
_ENCODER_STARTS = ("text_model.encoder.", "encoder.block.0.layer.", "model.layers.0.self_attn.", "text_encoders.")
_DIFFUSION_STARTS = (
    "model.diffusion_model.",
    "double_blocks.",
    "transformer_blocks.",
    "joint_blocks.",
    "diffusion_model.",
)
_CHECKPOINT_PARTS = ("first_stage_model.", "conditioner.", "cond_stage_model.", "vae.", "text_encoders.")
_GGUF_ENCODERS = frozenset({"t5", "t5encoder", "llama", "qwen2", "qwen2vl", "qwen3", "gemma2", "gemma3", "clip"})
_GGUF_DIFFUSION = frozenset(
    {"sd1", "sdxl", "sd3", "flux", "aura", "hidream", "cosmos", "ltxv", "hyvid", "wan", "lumina2", "qwen_image"}
)


def detect_type(file: Path) -> str | None:
    """Return the model type (ComfyUI's key) by the header of a GGUF or safetensors file, or None if it is not clear.

    GGUF is recognized by its first bytes, safetensors by the extension. A safetensors header above 32 MiB is not read.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        start = stream.read(8)
        if start[:4] == b"GGUF":
            return _detect_gguf_type(stream.read(512))
        if find_format(file.name) != "safetensors" or len(start) < 8:
            return None
        (length,) = struct.unpack("<Q", start)
        return _detect_safetensors_type(stream.read(length)) if length <= _MAX_HEADER_SIZE else None


def _detect_safetensors_type(header: bytes) -> str | None:
    """Return the type by the tensor names in a safetensors header; None if it is not JSON or not conclusive."""
    try:
        names = json.loads(header)
    except (ValueError, RecursionError):
        return None
    return detect_type_by_tensors(set(names) - {"__metadata__"}) if isinstance(names, dict) else None


def detect_type_by_tensors(names: set[str]) -> str | None:
    """Return the model type (ComfyUI's key) of the first rule that these tensor names match, or None."""

    def any_starts(*starts: str) -> bool:
        return any(name.startswith(starts) for name in names)

    rules = (
        ("photomaker", any_starts("id_encoder.") and any_starts("lora_weights.")),
        ("loras", _is_lora(names)),
        ("controlnet", any_starts("control_model.", "controlnet_cond_embedding.", "controlnet_blocks.")),
        ("checkpoints", any_starts("model.diffusion_model.") and any_starts(*_CHECKPOINT_PARTS)),
        ("diffusion_models", any_starts(*_DIFFUSION_STARTS)),
        ("vae", any_starts("decoder.") and any_starts("encoder.conv", "encoder.down", "decoder.conv", "decoder.up")),
        ("clip_vision", any_starts("vision_model.") and not any_starts("text_model.")),
        ("text_encoders", any_starts(*_ENCODER_STARTS)),
        ("embeddings", bool(names) and names <= {"emb_params", "clip_l", "clip_g"}),
    )
    return next((kind for kind, is_match in rules if is_match), None)


def _is_lora(names: set[str]) -> bool:
    """Return whether tensor names are those of a LoRA or the like; False for a full model with LoRAs in its layers."""
    layers = {name[: mark.start()] for name in names if (mark := _LORA_MARK.search(name))}
    full = [layer for layer in layers if any(layer + weight in names for weight in _FULL_WEIGHTS)]
    return 2 * len(full) < len(layers)


def _detect_gguf_type(start: bytes) -> str | None:
    """Return the type by ``general.architecture``, which writers put first; None if it is not first or not known.

    ``start`` is what follows magic and version.
    """
    try:
        key, offset = _read_gguf_string(start, 16)
        (value_type,) = struct.unpack_from("<I", start, offset)
        architecture, _ = _read_gguf_string(start, offset + 4)
    except (struct.error, UnicodeDecodeError):
        return None
    if key != "general.architecture" or value_type != 8:
        return None
    if architecture in _GGUF_ENCODERS:
        return "text_encoders"
    return "diffusion_models" if architecture in _GGUF_DIFFUSION else None


def _read_gguf_string(start: bytes, offset: int) -> tuple[str, int]:
    """Return the length-prefixed string at an offset, cut at the end of ``start``, and the offset after it."""
    (length,) = struct.unpack_from("<Q", start, offset)
    end = offset + 8 + min(length, len(start))
    return start[offset + 8 : end].decode(), end
