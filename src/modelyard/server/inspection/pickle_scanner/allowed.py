"""The globals that a file of tensors needs: an allow-list, since deny-lists can be evaded.

From torch's own list for ``weights_only=True`` (``torch/_weights_only_unpickler.py``) and what ComfyUI adds to it
(``comfy/utils.py``). ``calls.py`` checks what each function is called with. Protocol 2 writes Python 2's module names.

Left out of torch's list, since nothing in the file can confirm the places or sizes in their arguments: sparse, nested,
meta and wrapper tensors, and tensors of devices without storages. ``docs/decisions/0020`` says more.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dtype:
    """A torch dtype: its label in safetensors, the bytes of an element, and the properties that calls depend on.

    ``alignment``: torch computes only with elements at addresses that are multiples of this.
    """

    label: str
    size: int
    is_floating: bool = False
    is_complex: bool = False
    alignment: int = 1

    def may_require_grad(self) -> bool:
        """Return whether torch allows gradients for tensors of this dtype."""
        return self.is_floating or self.is_complex


DTYPES = {
    "torch.float64": Dtype("F64", 8, is_floating=True),
    "torch.float32": Dtype("F32", 4, is_floating=True),
    "torch.float16": Dtype("F16", 2, is_floating=True),
    "torch.bfloat16": Dtype("BF16", 2, is_floating=True),
    "torch.int64": Dtype("I64", 8),
    "torch.int32": Dtype("I32", 4),
    "torch.int16": Dtype("I16", 2),
    "torch.int8": Dtype("I8", 1),
    "torch.uint8": Dtype("U8", 1),
    "torch.bool": Dtype("BOOL", 1),
    "torch.complex64": Dtype("C64", 8, is_complex=True),
    # Its code has instructions for 16 bytes that crash at other addresses; that of all other dtypes has none.
    "torch.complex128": Dtype("C128", 16, is_complex=True, alignment=16),
    "torch.qint8": Dtype("QI8", 1),
    "torch.quint8": Dtype("QU8", 1),
    "torch.qint32": Dtype("QI32", 4),
}

# Dtypes without a storage type of their own: stored as raw bytes, with the dtype beside them.
UNTYPED_DTYPES = {
    "torch.float8_e4m3fn": Dtype("F8_E4M3", 1, is_floating=True),
    "torch.float8_e4m3fnuz": Dtype("F8_E4M3FNUZ", 1, is_floating=True),
    "torch.float8_e5m2": Dtype("F8_E5M2", 1, is_floating=True),
    "torch.float8_e5m2fnuz": Dtype("F8_E5M2FNUZ", 1, is_floating=True),
    "torch.float8_e8m0fnu": Dtype("F8_E8M0", 1, is_floating=True),
    "torch.float4_e2m1fn_x2": Dtype("F4", 1, is_floating=True),
    "torch.complex32": Dtype("C32", 4, is_complex=True),
    "torch.uint16": Dtype("U16", 2),
    "torch.uint32": Dtype("U32", 4),
    "torch.uint64": Dtype("U64", 8),
}

UNTYPED_STORAGE = "torch.storage.UntypedStorage"
STORAGES = {
    "torch.DoubleStorage": DTYPES["torch.float64"],
    "torch.FloatStorage": DTYPES["torch.float32"],
    "torch.HalfStorage": DTYPES["torch.float16"],
    "torch.BFloat16Storage": DTYPES["torch.bfloat16"],
    "torch.LongStorage": DTYPES["torch.int64"],
    "torch.IntStorage": DTYPES["torch.int32"],
    "torch.ShortStorage": DTYPES["torch.int16"],
    "torch.CharStorage": DTYPES["torch.int8"],
    "torch.ByteStorage": DTYPES["torch.uint8"],
    "torch.BoolStorage": DTYPES["torch.bool"],
    "torch.ComplexFloatStorage": DTYPES["torch.complex64"],
    "torch.ComplexDoubleStorage": DTYPES["torch.complex128"],
    "torch.QInt8Storage": DTYPES["torch.qint8"],
    "torch.QUInt8Storage": DTYPES["torch.quint8"],
    "torch.QInt32Storage": DTYPES["torch.qint32"],
    UNTYPED_STORAGE: DTYPES["torch.uint8"],
}

# Python 2's names of modules, as torch translates them.
MODULE_NAMES = {"__builtin__": "builtins"}

# Named but never called: types as values, and the class that Lightning's checkpoints have as a dictionary key.
VALUES = (
    DTYPES.keys()
    | UNTYPED_DTYPES.keys()
    | STORAGES.keys()
    | {f"torch.{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8)}
    | {
        "torch.Tensor",
        "torch.per_tensor_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_affine",
        "torch.per_channel_symmetric",
        "torch.per_channel_affine_float_qparams",
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    }
)

# On torch's list or in NumPy's pickles, and refused: what the value is, for the message.
UNSUPPORTED = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor, whose indices torch does not check",
    "torch._utils._rebuild_nested_tensor": "a nested tensor, whose offsets torch does not check",
    "torch.nested._internal.nested_tensor._rebuild_njt": "a nested tensor, whose offsets torch does not check",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without data (of the device 'meta')",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a wrapper class, without data",
    "torch._utils._rebuild_device_tensor_from_numpy": "a tensor of another device in a NumPy array",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "a tensor that needs the device it was saved on",
    "numpy.ndarray": "a NumPy array, which torch.load(weights_only=True) does not read",
    "numpy.core.multiarray._reconstruct": "a NumPy array, which torch.load(weights_only=True) does not read",
    "numpy._core.multiarray._reconstruct": "a NumPy array, which torch.load(weights_only=True) does not read",
    "numpy.core.numeric._frombuffer": "a NumPy array, which torch.load(weights_only=True) does not read",
    "numpy._core.numeric._frombuffer": "a NumPy array, which torch.load(weights_only=True) does not read",
}

# The first argument of torch.device.
DEVICE_TYPES = frozenset({"cpu", "cuda", "mps", "xpu", "xla", "hpu", "mtia", "meta"})

# Attributes that programs are known to set on tensors. Any other name could override one of torch's own.
TENSOR_ATTRIBUTES = frozenset(
    {
        "_is_buffer",
        "persistent",
        "_is_hf_initialized",
        "_no_weight_decay",
        "_no_reinit",
        "_optim",
        "allreduce",
        "sequence_parallel",
        "shared",
        "tensor_model_parallel",
        "partition_dim",
        "partition_stride",
    }
)
