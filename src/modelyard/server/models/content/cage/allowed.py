"""The globals that a file of tensors needs, and nothing else: an allow-list, since deny-lists are got round.

From torch's own list for ``weights_only=True`` (``torch/_weights_only_unpickler.py``), what ComfyUI adds to it
(``comfy/utils.py``), and what NumPy arrays and scalars need. Protocol 2 writes Python 2's module names.

``torch.storage._load_from_bytes`` is left out on purpose: it loads a second pickle without any check.
"""

# Storage type -> (dtype in the words of safetensors, bytes an element).
STORAGES: dict[str, tuple[str, int]] = {
    "torch.DoubleStorage": ("F64", 8),
    "torch.FloatStorage": ("F32", 4),
    "torch.HalfStorage": ("F16", 2),
    "torch.BFloat16Storage": ("BF16", 2),
    "torch.LongStorage": ("I64", 8),
    "torch.IntStorage": ("I32", 4),
    "torch.ShortStorage": ("I16", 2),
    "torch.CharStorage": ("I8", 1),
    "torch.ByteStorage": ("U8", 1),
    "torch.BoolStorage": ("BOOL", 1),
    "torch.ComplexFloatStorage": ("C64", 8),
    "torch.ComplexDoubleStorage": ("C128", 16),
    "torch.QInt8Storage": ("QI8", 1),
    "torch.QUInt8Storage": ("QU8", 1),
    "torch.QInt32Storage": ("QI32", 4),
    "torch.UntypedStorage": ("UNTYPED", 1),
    "torch.storage.UntypedStorage": ("UNTYPED", 1),
}

# Functions that make a tensor; what they return counts as one.
REBUILDERS = frozenset(
    f"torch._utils.{name}"
    for name in (
        "_rebuild_tensor",
        "_rebuild_tensor_v2",
        "_rebuild_tensor_v3",
        "_rebuild_parameter",
        "_rebuild_parameter_with_state",
        "_rebuild_qtensor",
        "_rebuild_sparse_tensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_wrapper_subclass",
        "_rebuild_device_tensor_from_numpy",
        "_rebuild_device_tensor_from_cpu_tensor",
    )
) | {"torch._tensor._rebuild_from_type_v2"}
# This one calls the function in its first argument.
CALLS_ITS_ARGUMENT = "torch._tensor._rebuild_from_type_v2"

CALLABLE = REBUILDERS | {
    "collections.OrderedDict",
    "collections.Counter",
    "torch.nn.parameter.Parameter",
    "torch.serialization._get_layout",
    "torch.Size",
    "torch.Tensor",
    "torch.device",
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.set",
    "builtins.complex",
    "__builtin__.bytearray",
    "__builtin__.set",
    "__builtin__.complex",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.numeric._frombuffer",
}

_DTYPES = (
    "float64",
    "double",
    "float32",
    "float",
    "float16",
    "half",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "int64",
    "long",
    "int32",
    "int",
    "int16",
    "short",
    "int8",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "complex32",
    "complex64",
    "cfloat",
    "complex128",
    "cdouble",
    "chalf",
    "quint8",
    "qint8",
    "qint32",
    "quint4x2",
    "quint2x4",
    "per_tensor_affine",
    "per_tensor_symmetric",
    "per_channel_affine",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
    "strided",
    "sparse_coo",
    "sparse_csr",
    "contiguous_format",
    "preserve_format",
    "channels_last",
)

# Named, never called: types as arguments, and the class that Lightning's checkpoints carry as a dictionary key.
NAMEABLE = (
    CALLABLE
    | STORAGES.keys()
    | {f"torch.{name}" for name in _DTYPES}
    | {f"torch.{width}" for bits in range(1, 8) for width in (f"int{bits}", f"uint{bits}")}
    | {f"numpy.dtypes.{kind}DType" for kind in ("Float64", "Float32", "Float16", "Int64", "Int32", "UInt8", "Bool")}
    | {
        "torch.storage.TypedStorage",
        "torch.nn.parameter.Buffer",
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    }
)
