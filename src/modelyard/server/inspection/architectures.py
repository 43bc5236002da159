"""Detection of a model's architecture from tensor names that only one architecture has.

Conservative: None when unsure. The result helps people to find a model; no file is accepted or refused by it.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TypeAlias

Shapes = Mapping[str, tuple[int, ...] | None]
"""Tensor names with their shapes; None where the format does not tell the shape."""

_Signatures: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]

_LORA_ENDS = (
    ".lora_down.weight",
    ".lora_A.weight",
    ".lora_A.default.weight",
    ".lora.down.weight",
    ".hada_w1_a",
    ".lokr_w1",
)
_NAME_PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "net.", "transformer.", "unet.")
_BASE_MODELS = (
    ("sdxl", "sdxl"),
    ("sd3", "sd3"),
    ("sd_v1", "sd1.5"),
    ("sd_v2", "sd2"),
    ("flux", "flux"),
    ("wan", "wan"),
    ("qwen", "qwen-image"),
    ("hunyuan", "hunyuan-video"),
    ("lumina", "lumina2"),
)
# The width of the text embedding that a U-Net attends to differs by generation.
_BY_CONTEXT = {768: "sd1.5", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl"}

# Each prefix of a row must start some tensor name, after the name prefix. The first matching row wins.
_DIFFUSION_SIGNATURES: _Signatures = (
    ("hunyuan-video", ("txt_in.individual_token_refiner.", "double_blocks.0.")),
    ("chroma", ("distilled_guidance_layer.", "double_blocks.0.")),
    ("flux2", ("double_stream_modulation_img.", "double_blocks.0.")),
    ("flux", ("double_blocks.0.img_attn.", "single_blocks.0.")),
    ("flux", ("single_transformer_blocks.0.attn.", "transformer_blocks.0.ff_context.")),
    ("qwen-image", ("transformer_blocks.0.img_mod.", "txt_norm.")),
    ("sd3", ("joint_blocks.0.context_block.", "joint_blocks.0.x_block.")),
    ("wan", ("blocks.0.cross_attn.", "head.modulation")),
    ("ltx-video", ("adaln_single.emb.", "transformer_blocks.0.attn1.", "patchify_proj.")),
    ("lumina2", ("noise_refiner.0.", "cap_embedder.")),
    ("cosmos", ("blocks.0.adaln_modulation_self_attn.", "t_embedder.")),
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
_LORA_SIGNATURES: _Signatures = (
    ("sdxl", ("lora_te2_",)),
    ("flux", ("lora_unet_double_blocks_",)),
    ("flux", ("diffusion_model.double_blocks.",)),
    ("flux", ("transformer.single_transformer_blocks.",)),
    ("qwen-image", ("transformer_blocks.0.img_mlp.",)),
    ("qwen-image", ("diffusion_model.transformer_blocks.0.img_mlp.",)),
    ("qwen-image", ("lora_unet_transformer_blocks_0_img_mlp_",)),
    ("wan", ("diffusion_model.blocks.0.cross_attn.",)),
    ("wan", ("lora_unet_blocks_0_cross_attn_",)),
    ("sd3", ("lora_unet_joint_blocks_",)),
)


def detect_architecture(shapes: Shapes, base_model: str = "") -> str | None:
    """Return the architecture, such as ``sdxl``, ``flux`` or ``wan-lora``, or None if the tensor names match none.

    ``base_model``, in lower case, is what training metadata declares as the base of a LoRA; for one, it takes
    precedence over the tensor names.
    A LoRA of unknown base is ``lora``.
    """
    names = sorted(shapes)

    def has(prefix: str) -> bool:
        """Return whether a tensor name starts with the prefix."""
        index = bisect_left(names, prefix)
        return index < len(names) and names[index].startswith(prefix)

    if any(name.endswith(_LORA_ENDS) for name in names):
        base = (
            _match_base_model(base_model) or _match_signatures(_LORA_SIGNATURES, has) or _detect_lora_by_context(shapes)
        )
        return f"{base}-lora" if base else "lora"
    return (
        _detect_checkpoint(has)
        or _detect_diffusion(shapes, has)
        or _match_signatures(_OTHER_SIGNATURES, has)
        or _detect_text_encoder(shapes)
    )


def _match_signatures(signatures: _Signatures, has: Callable[[str], bool]) -> str | None:
    """Return the architecture of the first row all of whose prefixes some tensor name has, or None."""
    return next(
        (architecture for architecture, prefixes in signatures if all(has(prefix) for prefix in prefixes)), None
    )


def _match_base_model(base_model: str) -> str | None:
    """Return the architecture with whose spelling the declared base model, in lower case, starts, or None."""
    return next((architecture for beginning, architecture in _BASE_MODELS if base_model.startswith(beginning)), None)


def _detect_checkpoint(has: Callable[[str], bool]) -> str | None:
    """Return the Stable Diffusion generation of a U-Net stored with its text encoders, or None."""
    if not has("model.diffusion_model.input_blocks."):
        return None
    if has("conditioner.embedders.1."):
        return "sdxl"
    if has("conditioner.embedders.0.model.transformer.resblocks."):
        return "sdxl-refiner"
    if has("cond_stage_model.transformer."):
        return "sd1.5"
    if has("cond_stage_model.model.transformer."):
        return "sd2"
    return None


def _detect_diffusion(shapes: Shapes, has: Callable[[str], bool]) -> str | None:
    """Return the architecture of a diffusion model without text encoders, or None.

    Tensor names are matched under each of the known name prefixes. A U-Net of unknown width gives None.
    """
    for name_prefix in _NAME_PREFIXES:
        for architecture, prefixes in _DIFFUSION_SIGNATURES:
            if all(has(name_prefix + prefix) for prefix in prefixes):
                return architecture
        if has(name_prefix + "input_blocks.1.") or has(name_prefix + "down_blocks.1.attentions.0."):
            return _BY_CONTEXT.get(_get_context_width(shapes, (".attn2.to_k.weight",)))
    return None


def _detect_lora_by_context(shapes: Shapes) -> str | None:
    """Return the base of a U-Net LoRA by the width of its cross-attention input, or None."""
    ends = ("attn2_to_k.lora_down.weight", "attn2.to_k.lora_A.weight", "attn2.to_k.lora.down.weight")
    return _BY_CONTEXT.get(_get_context_width(shapes, ends))


def _get_context_width(shapes: Shapes, ends: tuple[str, ...]) -> int:
    """Return the last dimension of the first matrix whose name has one of these endings; 0 without one."""
    return next((shape[-1] for name, shape in shapes.items() if shape and len(shape) >= 2 and name.endswith(ends)), 0)


def _detect_text_encoder(shapes: Shapes) -> str | None:
    """Return the CLIP variant by the width of its first attention layer, or None."""
    ends = "text_model.encoder.layers.0.self_attn.q_proj.weight"
    shape = next((shape for name, shape in shapes.items() if name.endswith(ends)), None)
    return {768: "clip-l", 1024: "clip-h", 1280: "clip-g"}.get(shape[-1]) if shape else None
