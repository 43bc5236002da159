"""The layers of a model by tensor names: the same for full models and adapters of all writers.

Trainers name a layer in different ways: ``model.diffusion_model.double_blocks.0.img_attn.qkv.weight``,
``lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight``, ``transformer.double_blocks.0...lora_A.weight``. All become
``double_blocks_0_img_attn_qkv``, with the input and output size of the layer that an adapter applies to.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...] | None
Shapes: TypeAlias = Mapping[str, Shape]
"""Tensor names with their shapes; None where the format does not tell the shape."""

_PREFIXES = (
    *("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "unet.", "net."),
    *("lora_unet_", "lora_transformer_", "lycoris_"),
)
# Only adapters have these, also for layers that they store in full.
_ADAPTER_PREFIXES = ("lora_unet_", "lora_te", "lora_transformer_", "lycoris_")
# kohya and OneTrainer write lora_down, PEFT lora_A, old diffusers lora.down or lora_linear_layer.down.
_LORA = re.compile(
    r"(.*?)[._](?:lora_linear_layer\.|lora_|lora\.)(down|up|A|B)(?:\.default)?(?:\.weight)?\Z", re.DOTALL
)
# LyCORIS: LoHa and LoKr.
_LYCORIS = re.compile(r"(.*)\.(hada_w1_[ab]|lokr_w[12](?:_[ab])?)\Z", re.DOTALL)
_INPUT_SIDES = {"down", "A", "hada_w1_b", "lokr_w1", "lokr_w1_b", "lokr_w2", "lokr_w2_b"}
_OUTPUT_SIDES = {"up", "B", "hada_w1_a", "lokr_w1", "lokr_w1_a", "lokr_w2", "lokr_w2_a"}
_KINDS = {"hada": "LoHa", "lokr": "LoKr"}
# A name above this length is no layer's.
_LONGEST_NAME = 300


class Layers:
    """The layers of a model by their common names.

    ``is_adapter`` tells whether the tensors are those of a LoRA or the like, and ``adapter_kinds`` which: LoRA, LoHa
    or LoKr. Sizes are None where unknown.
    """

    def __init__(self, shapes: Shapes) -> None:
        self.tensor_names = [name for name in shapes if len(name) <= _LONGEST_NAME]
        self.is_adapter = any(name.startswith(_ADAPTER_PREFIXES) for name in self.tensor_names)
        self._has_branches = any(map(_has_low_rank_branches, self.tensor_names))
        self._inputs: dict[str, int] = {}
        self._outputs: dict[str, int] = {}
        self._ranks: Counter[int] = Counter()
        self.adapter_kinds: set[str] = set()
        names = {self._add(name, shapes[name]) for name in self.tensor_names}
        self.names = sorted(names)

    def has(self, *prefixes: str) -> bool:
        """Return whether a layer's name starts with one of the prefixes."""
        for prefix in prefixes:
            index = bisect_left(self.names, prefix)
            if index < len(self.names) and self.names[index].startswith(prefix):
                return True
        return False

    def iterate(self, prefix: str) -> Iterator[str]:
        """Iterate the names that start with the prefix."""
        for index in range(bisect_left(self.names, prefix), len(self.names)):
            if not self.names[index].startswith(prefix):
                return
            yield self.names[index]

    def has_in(self, prefix: str, *parts: str) -> bool:
        """Return whether a name that starts with the prefix contains one of the parts."""
        return any(part in name for name in self.iterate(prefix) for part in parts)

    def get_input(self, prefix: str, *ends: str) -> int | None:
        """Return the input size of the first layer with the prefix and one of the ends whose size is known."""
        return next((self._inputs[name] for name in self.iterate(prefix) if self._matches(name, ends, "in")), None)

    def get_output(self, prefix: str, *ends: str) -> int | None:
        """Return the output size of the first layer with the prefix and one of the ends whose size is known."""
        return next((self._outputs[name] for name in self.iterate(prefix) if self._matches(name, ends, "out")), None)

    def has_block(self, prefix: str, first: int) -> bool:
        """Return whether a block ``<prefix><number>_`` has a number of at least ``first``."""
        numbers = (name[len(prefix) :].partition("_")[0] for name in self.iterate(prefix))
        return any(number.isdecimal() and len(number) < 5 and int(number) >= first for number in numbers)

    def get_rank(self) -> int | None:
        """Return the rank that most layers of a LoRA have; None for other adapters and models."""
        return max(self._ranks, key=self._ranks.__getitem__, default=None)

    def _matches(self, name: str, ends: tuple[str, ...], side: str) -> bool:
        """Return whether the name has one of the ends and a known size; every name has the end of no ends."""
        return name in (self._inputs if side == "in" else self._outputs) and (not ends or name.endswith(ends))

    def _add(self, tensor: str, shape: Shape) -> str:
        """Record the sizes that a tensor shows, and return the name of its layer."""
        # Full models have tens of thousands of tensors, for which the expressions are slow.
        may_adapt = not self._has_branches and ("lora" in tensor or "_w1" in tensor or "_w2" in tensor)
        found = (_LORA.match(tensor) or _LYCORIS.match(tensor)) if may_adapt else None
        if found is None:
            name = _normalize(_strip_end(tensor))
            if shape and len(shape) >= 2:
                self._outputs[name], self._inputs[name] = shape[0], shape[1]
            return name
        self.is_adapter = True
        name, side = _normalize(found[1]), found[2]
        self.adapter_kinds.add(_KINDS.get(side[:4], "LoRA"))
        if shape and len(shape) >= 2:
            if side in ("down", "A"):
                self._ranks[shape[0]] += 1
            # The sizes of a LoKr layer are products of those of its factors.
            if side in _INPUT_SIDES:
                self._inputs[name] = self._inputs.get(name, 1) * shape[1]
            if side in _OUTPUT_SIDES:
                self._outputs[name] = self._outputs.get(name, 1) * shape[0]
        return name


def _has_low_rank_branches(tensor: str) -> bool:
    """Return whether this tensor is of a model whose own layers have low-rank branches: nunchaku, IP-Adapter FaceID."""
    return tensor.endswith(".qweight") or tensor.startswith("ip_adapter.")


def _strip_end(tensor: str) -> str:
    """Return the name of a layer that is stored in full: as a weight, or as the difference of one."""
    name, _, end = tensor.rpartition(".")
    return name if end in ("weight", "bias", "scale", "diff") else tensor


def _normalize(name: str) -> str:
    """Return a layer's common name: without the prefix of the writer, and with underscores only."""
    while name.startswith(_PREFIXES):  # PEFT adds one around the other's
        name = name[next(len(prefix) for prefix in _PREFIXES if name.startswith(prefix)) :]
    return name.replace(".processor", "").replace(".", "_")
