"""Write checkpoints in many forms: ``python save_checkpoints.py FOLDER``, in an environment with torch.

A file's name is its form; ``test_clean_loads.py`` lists which of them the registry refuses.
"""

import pickle
import sys
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

PLAIN_DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("complex64", "complex128"),
)
BYTE_DTYPES = (
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
    *("uint16", "uint32", "uint64", "complex32"),
)


class LoRA(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    def __init__(self) -> None:
        super().__init__()
        self.lora_down = nn.Linear(8, 4, bias=False)
        self.lora_up = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)


def build_tensors_of_every_dtype() -> dict[str, object]:
    tensors: dict[str, object] = {name: torch.ones(3, 2).to(getattr(torch, name)) for name in PLAIN_DTYPES}
    for name in filter(lambda name: hasattr(torch, name), BYTE_DTYPES):
        tensors[name] = torch.zeros(16, dtype=torch.uint8).view(getattr(torch, name))
    return tensors


def build_training_checkpoint() -> dict[str, object]:
    model = LoRA()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 80])
    model.lora_up(model.lora_down(torch.ones(2, 8))).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "global_step": 2**40,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": {key: value for key, value in scheduler.state_dict().items() if not key.startswith("_")},
        "milestones": Counter({30: 1, 80: 1}),
        "rng_state": torch.get_rng_state(),
        "config": {"name": "ink", "betas": (0.9, 0.999), "dtype": torch.float16, "size": torch.Size([2, 3])},
        "device": torch.device("cuda", 0),
        "loss": np.float64(0.25),
        "flags": {True, None, "x"},
        "raw": b"\x00\xffbytes",
        "buffer": bytearray(b"\x80buffer"),
        "z": complex(1, -2),
    }


def build_views() -> dict[str, object]:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "base": base,
        "row": base[1],
        "column": base[:, 2],
        "transposed": base.t(),
        "expanded": torch.ones(1, 4).expand(8, 4),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
        "negative": torch.ones(2, dtype=torch.complex64).conj().imag,
    }


def build_tensors_with_attributes() -> dict[str, object]:
    tensor, parameter = torch.ones(2), nn.Parameter(torch.ones(2))
    tensor._is_hf_initialized = True
    parameter._is_hf_initialized = True
    return {"tensor": tensor, "parameter": parameter, "buffer": nn.Buffer(torch.ones(2))}


def build_embedding() -> dict[str, object]:
    """Build a textual inversion: a dict of a token, whose tensor may be a Parameter."""
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": nn.Parameter(torch.ones(1, 8))}, "name": "ink"}


def build_ema_weights() -> OrderedDict[str, object]:
    tensors: OrderedDict[str, object] = OrderedDict((f"ema.{name}", value) for name, value in LoRA().named_parameters())
    tensors["collected"] = OrderedDict([("a", [1, 2.5, None, True, "x"])])
    return tensors


def build_quantized_tensors() -> dict[str, object]:
    values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    scales, zero_points = torch.tensor([0.1, 0.2], dtype=torch.float64), torch.tensor([0, 1])
    return {
        "tensor": torch.quantize_per_tensor(values, 0.1, 3, torch.quint8),
        "channel": torch.quantize_per_channel(values, scales, zero_points, 0, torch.qint8),
    }


def build_sparse_tensor() -> dict[str, object]:
    return {"w": torch.eye(3).to_sparse()}


def build_lightning_checkpoint() -> dict[object, object]:
    """Build a checkpoint with Lightning's callback class as a dictionary key."""
    key = type("ModelCheckpoint", (), {})
    key.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
    module = type(sys)(key.__module__)
    module.__dict__["ModelCheckpoint"] = key
    for module_name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        sys.modules.setdefault(module_name, type(sys)(module_name))
    sys.modules[key.__module__] = module
    return {"callbacks": {key: {"monitor": "loss", "best_model_score": np.float64(0.5)}}, "state_dict": build_views()}


ALL_FORMATS: dict[str, Callable[[], object]] = {
    "state-dict": lambda: LoRA().state_dict(),
    "plain-dtypes": lambda: {name: torch.ones(3).to(getattr(torch, name)) for name in PLAIN_DTYPES},
    "training": build_training_checkpoint,
    "views": build_views,
    "attributes": build_tensors_with_attributes,
    "embedding": build_embedding,
    "ema": build_ema_weights,
    "lightning": build_lightning_checkpoint,
    "one-tensor": lambda: torch.ones(4),
    "list": lambda: [torch.ones(2), [torch.zeros(2), {"a": (1, (2, (3,)))}]],
    "many": lambda: {f"blocks.{n}.weight": torch.full((n % 5,), float(n)) for n in range(2500)},
    "nothing": dict,
    "quantized": build_quantized_tensors,
    "sparse": build_sparse_tensor,
    "meta": lambda: {"w": torch.empty(4, device="meta")},
    "nested": lambda: {"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])},
    "numpy-array": lambda: {"w": np.arange(4, dtype=np.float32)},
    "numpy-int64": lambda: {"step": np.int64(4)},
    "whole-module": LoRA,
}
ZIP_ONLY: dict[str, Callable[[], object]] = {
    "every-dtype": build_tensors_of_every_dtype,
    "float8-parameter": lambda: {"w": nn.Parameter(torch.ones(4).to(torch.float8_e4m3fn))},
    # A conversion of a parameter requires gradients too, and is no parameter.
    "float8-gradients": lambda: {"w": nn.Parameter(torch.ones(4)).to(torch.float8_e4m3fn)},
}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    for name, build in {**ALL_FORMATS, **ZIP_ONLY}.items():
        torch.save(build(), folder / f"{name}.pt")
    for name, build in ALL_FORMATS.items():
        torch.save(build(), folder / f"{name}.old.pt", _use_new_zipfile_serialization=False)
    for protocol in (3, 4):
        torch.save(LoRA().state_dict(), folder / f"protocol-{protocol}.pt", pickle_protocol=protocol)
    (folder / "plain-pickle.pkl").write_bytes(pickle.dumps({"a": [1, 2.5]}, 2))
    torch.serialization.set_crc32_options(False)
    torch.save(build_views(), folder / "no-checksums.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
