"""The layers of models, and the tensors that trainers and tools write for each of them."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

Tensors = dict[str, tuple[str, list[int]]]  # dtype and shape


def iterate_names(table: str) -> Iterator[tuple[str, list[str]]]:
    """Iterate the names of a table with their fields: ``a.(0-2).(b|c) 1 2`` stands for six names with two fields."""
    for row in filter(None, map(str.strip, re.split("[;\n]", table))):
        pattern, *fields = row.split()
        choices = [part.split("|") for part in re.split("[()]", pattern)]
        for number, choice in enumerate(choices):
            if number % 2 and (span := re.fullmatch("([0-9]+)-([0-9]+)", choice[0])):
                choices[number] = [str(each) for each in range(int(span[1]), int(span[2]) + 1)]
        yield from (("".join(parts), fields) for parts in itertools.product(*choices))


def list_tensors(table: str, prefix: str = "") -> Tensors:
    """Return the tensors of a table with dtypes and shapes."""
    return {prefix + name: (dtype, [int(size) for size in sizes]) for name, (dtype, *sizes) in iterate_names(table)}


def build_layers(layers: str, template: str, prefix: str = "", joint: str = ".") -> Tensors:
    """Return the tensors that a tool writes for each layer of a table with input and output sizes.

    ``template`` is a table of them: ``i`` and ``o`` are the sizes, ``i8`` an eighth, ``k`` the kernel of a convolution.
    """
    tensors: Tensors = {}
    for layer, (inputs, outputs, *kernel) in iterate_names(layers):
        sizes: dict[str, Any] = {"i": inputs, "o": outputs, "k": " ".join(kernel)}
        for part in (2, 4, 8, 16, 64):
            sizes |= {f"i{part}": int(inputs) // part, f"o{part}": int(outputs) // part}
        tensors |= list_tensors(template.format_map(sizes), f"{prefix}{layer.replace('.', joint)}.")
    return tensors


# What tools write for a layer.
KOHYA = "alpha F16; lora_down.weight F16 32 {i} {k}; lora_up.weight F16 {o} 32 {k}"
PEFT = "lora_A.weight BF16 16 {i}; lora_B.weight BF16 {o} 16"
LOKR = "alpha BF16; lokr_w1 BF16 8 8; lokr_w2_a BF16 {o8} 16; lokr_w2_b BF16 16 {i8}"
PLAIN = "weight BF16 {o} {i} {k}; bias BF16 {o}"
FP8_SCALED = "weight F8_E4M3 {o} {i}; bias BF16 {o}; (scale_weight|scale_input) F32 1"
COMFY_FP8 = "weight F8_E4M3 {o} {i}; bias BF16 {o}; (weight_scale|input_scale) F32; comfy_quant U8 27"
NVFP4 = "weight U8 {o} {i2}; bias BF16 {o}; weight_scale F8_E4M3 {o} {i16}; weight_scale_2 F32; comfy_quant U8 19"
SVDQUANT = """qweight I8 {o} {i2}; wscales BF16 {i64} {o}; (smooth|smooth_orig) BF16 {i}; bias BF16 {o}
    lora_down BF16 {i} 32; lora_up BF16 {o} 32"""
AWQ = "qweight I32 {o4} {i2}; (wscales|wzeros) BF16 {i64} {o}; bias BF16 {o}"
Q4_K = "weight Q4_K {o} {i}; bias F32 {o}"


def list_unet(transformers: str, context: int, kernel: str = "") -> str:
    """Return the table of the layers of transformers, given with width and depth: 2 each, and 10 a block."""
    table = ""
    for place, (width, depth) in iterate_names(transformers):
        block, wide, wider = f"{place}.transformer_blocks.(0-{int(depth) - 1})", 4 * int(width), 8 * int(width)
        table += f"""
            {place}.(proj_in|proj_out) {width} {width} {kernel}
            {block}.attn1.(to_q|to_k|to_v|to_out.0) {width} {width}; {block}.attn2.(to_q|to_out.0) {width} {width}
            {block}.attn2.(to_k|to_v) {context} {width}
            {block}.ff.net.0.proj {width} {wider}; {block}.ff.net.2 {wide} {width}"""
    return table


# The layers in the blocks of models, with the names of their authors or of diffusers.
_SD1 = """
    down_blocks.0.attentions.(0-1) 320 1; down_blocks.1.attentions.(0-1) 640 1; down_blocks.2.attentions.(0-1) 1280 1
    up_blocks.1.attentions.(0-2) 1280 1; up_blocks.2.attentions.(0-2) 640 1; up_blocks.3.attentions.(0-2) 320 1
    mid_block.attentions.0 1280 1"""
_SDXL = """
    input_blocks.(4-5).1 640 2; input_blocks.(7-8).1 1280 10; middle_block.1 1280 10
    output_blocks.(0-2).1 1280 10; output_blocks.(3-5).1 640 2"""
_SDXL_DIFFUSERS = """
    down_blocks.1.attentions.(0-1) 640 2; down_blocks.2.attentions.(0-1) 1280 10; mid_block.attentions.0 1280 10
    up_blocks.0.attentions.(0-2) 1280 10; up_blocks.1.attentions.(0-2) 640 2"""
SD1, SDXL, SDXL_DIFFUSERS = list_unet(_SD1, 768, "1 1"), list_unet(_SDXL, 2048), list_unet(_SDXL_DIFFUSERS, 2048)
CLIP_L = """
    text_model.encoder.layers.(0-11).self_attn.(k|out|q|v)_proj 768 768
    text_model.encoder.layers.(0-11).mlp.fc1 768 3072; text_model.encoder.layers.(0-11).mlp.fc2 3072 768"""
CLIP_G = CLIP_L.replace("11", "31").replace("768", "1280").replace("3072", "5120")
FLUX = """
    double_blocks.(0-18).(img|txt)_attn.qkv 3072 9216; double_blocks.(0-18).(img|txt)_attn.proj 3072 3072
    double_blocks.(0-18).(img|txt)_mlp.0 3072 12288; double_blocks.(0-18).(img|txt)_mlp.2 12288 3072
    double_blocks.(0-18).(img|txt)_mod.lin 3072 18432; single_blocks.(0-37).modulation.lin 3072 9216
    single_blocks.(0-37).linear1 3072 21504; single_blocks.(0-37).linear2 15360 3072"""
FLUX_ENDS = """
    img_in 64 3072; txt_in 4096 3072; (time_in|guidance_in).in_layer 256 3072; vector_in.in_layer 768 3072
    (time_in|vector_in|guidance_in).out_layer 3072 3072
    final_layer.linear 3072 64; final_layer.adaLN_modulation.1 3072 6144"""
FLUX_NORMS = """
    double_blocks.(0-18).(img|txt)_attn.norm.(key|query)_norm.scale F32 128
    single_blocks.(0-37).norm.(key|query)_norm.scale F32 128"""
FLUX_DIFFUSERS = """
    transformer_blocks.(0-18).attn.(to_q|to_k|to_v|to_out.0|add_q_proj|add_k_proj|add_v_proj|to_add_out) 3072 3072
    transformer_blocks.(0-18).ff(|_context).net.0.proj 3072 12288
    transformer_blocks.(0-18).ff(|_context).net.2 12288 3072; single_transformer_blocks.(0-37).attn.to_(q|k|v) 3072 3072
    single_transformer_blocks.(0-37).proj_mlp 3072 12288; single_transformer_blocks.(0-37).proj_out 15360 3072"""
FLUX_MODULATION = """
    transformer_blocks.(0-18).norm1(|_context).linear 3072 18432
    single_transformer_blocks.(0-37).norm.linear 3072 9216"""
FLUX_NUNCHAKU = """
    transformer_blocks.(0-18).qkv_proj(|_context) 3072 9216; transformer_blocks.(0-18).out_proj(|_context) 3072 3072
    transformer_blocks.(0-18).mlp(|_context)_fc1 3072 12288; transformer_blocks.(0-18).mlp(|_context)_fc2 12288 3072
    single_transformer_blocks.(0-37).qkv_proj 3072 9216; single_transformer_blocks.(0-37).out_proj 3072 3072
    single_transformer_blocks.(0-37).mlp_fc1 3072 12288; single_transformer_blocks.(0-37).mlp_fc2 12288 3072"""
HUNYUAN = """
    double_blocks.(0-19).(img|txt)_attn_qkv 3072 9216; double_blocks.(0-19).(img|txt)_attn_proj 3072 3072
    double_blocks.(0-19).(img|txt)_mlp.fc1 3072 12288; double_blocks.(0-19).(img|txt)_mlp.fc2 12288 3072
    single_blocks.(0-39).linear1 3072 21504; single_blocks.(0-39).linear2 15360 3072"""
HUNYUAN_ENDS = """
    double_blocks.(0-19).(img|txt)_mod.linear 3072 18432; single_blocks.(0-39).modulation.linear 3072 9216
    txt_in.individual_token_refiner.blocks.(0-1).self_attn_qkv 3072 9216"""
WAN = """
    blocks.(0-39).(self|cross)_attn.(q|k|v|o) 5120 5120
    blocks.(0-39).ffn.0 5120 13824; blocks.(0-39).ffn.2 13824 5120"""
WAN_ENDS = """
    text_embedding.0 4096 5120; (text|time)_embedding.2 5120 5120; time_embedding.0 256 5120
    time_projection.1 5120 30720; head.head 5120 64"""
WAN_NORMS = """
    blocks.(0-39).(self|cross)_attn.norm_(q|k).weight F32 5120; blocks.(0-39).norm3.(weight|bias) F32 5120
    blocks.(0-39).modulation F32 1 6 5120; head.modulation F32 1 2 5120; patch_embedding.bias F32 5120
    patch_embedding.weight F32 5120 16 1 2 2"""
