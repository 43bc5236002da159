"""Detection of a model's architecture and base model: tensors decide, claims refine.

Conservative: None when unsure. The result helps people to find a model; no file is accepted or refused by it.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from modelyard.server.inspection.description.base_models import Claim, get_architecture, refine_base_model
from modelyard.server.inspection.description.families import find_families
from modelyard.server.inspection.description.layers import Layers

_Signatures: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
_Has: TypeAlias = Callable[[str], bool]

# Each prefix of a row must start some tensor name. The first matching row wins.
_CONTROL_SIGNATURES: _Signatures = (
    ("controlnet", ("zero_convs.0.", "input_hint_block.")),
    ("controlnet", ("controlnet_cond_embedding.",)),
    ("controlnet", ("controlnet_blocks.0.",)),
    ("t2i-adapter", ("body.0.block1.", "conv_in.")),
)
_OTHER_SIGNATURES: _Signatures = (
    ("ip-adapter", ("ip_adapter.", "image_proj.")),
    ("wan-vae", ("decoder.middle.0.residual.", "encoder.conv1.")),
    ("vae", ("decoder.conv_in.", "encoder.conv_in.")),
    ("vae", ("first_stage_model.decoder.conv_in.",)),
    ("t5", ("encoder.block.0.layer.0.SelfAttention.q.", "encoder.final_layer_norm.")),
    ("clip-vision", ("vision_model.encoder.layers.0.",)),
    ("language-model", ("model.layers.0.self_attn.q_proj.", "model.embed_tokens.")),
    ("esrgan", ("model.1.sub.0.RDB1.",)),
    ("esrgan", ("body.0.rdb1.conv1.", "conv_first.")),
)


@dataclass(frozen=True)
class Description:
    """What a model is. ``families`` are those that its tensors permit, for claims that are known later."""

    architecture: str | None = None
    base_model: str | None = None
    base_source: str | None = None
    families: list[str] = field(default_factory=list)

    @property
    def entries(self) -> dict[str, Any]:
        """The fields of ``ModelMetadata`` that it has."""
        return {"base_model": self.base_model, "base_source": self.base_source, "base_families": self.families}


def describe_model(layers: Layers, claims: Sequence[Claim] = ()) -> Description:
    """Return the architecture, such as ``sdxl``, ``controlnet`` or ``wan-lora``, and the base model.

    A LoRA of unknown base has the architecture ``lora``.
    """
    has = _build_lookup(layers)
    checkpoint = None if layers.is_adapter else _detect_checkpoint(has)
    families = [checkpoint] if checkpoint else list(find_families(layers))
    base = refine_base_model(families, claims)
    architecture = get_architecture(families, base.name)
    if layers.is_adapter:
        label: str | None = f"{architecture}-lora" if architecture else "lora"
    else:
        label = _match_signatures(_CONTROL_SIGNATURES, has) or architecture or _match_signatures(_OTHER_SIGNATURES, has)
    return Description(label or _detect_text_encoder(layers), base.name, base.source, families)


def _build_lookup(layers: Layers) -> _Has:
    """Return a function that tells whether a tensor name starts with a prefix."""
    names = sorted(layers.tensor_names)

    def has(prefix: str) -> bool:
        """Return whether a tensor name starts with the prefix."""
        index = bisect_left(names, prefix)
        return index < len(names) and names[index].startswith(prefix)

    return has


def _match_signatures(signatures: _Signatures, has: _Has) -> str | None:
    """Return the architecture of the first row all of whose prefixes some tensor name has, or None."""
    return next(
        (architecture for architecture, prefixes in signatures if all(has(prefix) for prefix in prefixes)), None
    )


def _detect_checkpoint(has: _Has) -> str | None:
    """Return the Stable Diffusion family of a U-Net stored with its text encoders, or None."""
    if not has("model.diffusion_model.input_blocks."):
        return None
    if has("conditioner.embedders.1."):
        return "sdxl"
    if has("conditioner.embedders.0.model.transformer.resblocks."):
        return "sdxl-refiner"
    if has("cond_stage_model.transformer."):
        return "sd1"
    if has("cond_stage_model.model.transformer."):
        return "sd2"
    return None


def _detect_text_encoder(layers: Layers) -> str | None:
    """Return the CLIP variant by the width of its first attention layer, or None."""
    width = layers.get_input("", "text_model_encoder_layers_0_self_attn_q_proj")
    return {768: "clip-l", 1024: "clip-h", 1280: "clip-g"}.get(width or 0)
