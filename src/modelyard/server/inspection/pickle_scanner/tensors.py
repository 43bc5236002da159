"""The functions that build tensors, and the arguments with which torch neither fails nor reads outside the storage.

From ``torch/_utils.py`` and ``torch/_tensor.py``.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from .allowed import DTYPES, STORAGES, TENSOR_ATTRIBUTES, UNTYPED_DTYPES, UNTYPED_STORAGE, Dtype
from .ranges import Refused
from .values import Global, Mapping, Sequence, Storage, Tensor, Value, copy_without_size, is_integer

MAX_DIMENSIONS = 32
MAX_ELEMENTS = 2**62

_BYTES = DTYPES["torch.uint8"]
_QUANTIZED = frozenset(DTYPES[f"torch.{name}"] for name in ("qint8", "quint8", "qint32"))
_COMPLEX_HALF = UNTYPED_DTYPES["torch.complex32"]
# The dtypes that torch can negate.
_NEGATABLE = frozenset({*DTYPES.values(), _COMPLEX_HALF} - {DTYPES["torch.bool"]} - _QUANTIZED)
_PLAIN = (bool, int, float, str, type(None))


def build_malformed_refusal(function: str) -> Refused:
    """Build the refusal of a call with invalid arguments."""
    return Refused(f"calls '{function}' with invalid arguments", "malformed pickle")


def rebuild_tensor(arguments: list[Value]) -> Tensor:
    """Check the arguments of ``_rebuild_tensor`` and return its result: a view of a storage.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Storage() as storage, offset, size, stride]:
            return _build_view(storage, storage.dtype, (offset, size, stride))
    raise build_malformed_refusal("_rebuild_tensor")


def rebuild_tensor_v2(arguments: list[Value]) -> Tensor:
    """Check the arguments of ``_rebuild_tensor_v2`` and return its result: a view, with gradient flag and metadata.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Storage() as storage, offset, size, stride, requires_grad, hooks, *metadata]:
            tensor = _build_view(storage, storage.dtype, (offset, size, stride))
            _check_flags(tensor.dtype, requires_grad, hooks)
            return replace(tensor, is_lazy=_check_metadata(tensor.dtype, metadata))
    raise build_malformed_refusal("_rebuild_tensor_v2")


def rebuild_tensor_v3(arguments: list[Value]) -> Tensor:
    """Check the arguments of ``_rebuild_tensor_v3`` and return its result: untyped bytes as an explicit dtype.

    The first such dtype is recorded in the storage (``viewed_as``).

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Storage() as storage, offset, size, stride, requires_grad, hooks, Global(name), *metadata] if (
            storage.dtype is _BYTES and name in UNTYPED_DTYPES
        ):
            dtype = UNTYPED_DTYPES[name]
            _check_flags(dtype, requires_grad, hooks)
            if requires_grad:
                raise Refused(
                    f"has a tensor of type {dtype.label} that requires gradients, which torch.load refuses unless "
                    "it is a parameter; load it inside torch.no_grad() and save it again after detach()",
                    "unsupported value",
                )
            is_lazy = _check_metadata(dtype, metadata)
            storage.viewed_as = storage.viewed_as or dtype
            return replace(_build_view(storage, dtype, (offset, size, stride)), is_lazy=is_lazy)
    raise build_malformed_refusal("_rebuild_tensor_v3")


def rebuild_parameter(arguments: list[Value]) -> Tensor:
    """Check the arguments of ``_rebuild_parameter`` and return its result: its tensor, with size 0.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Tensor() as data, requires_grad, hooks]:
            _check_flags(data.dtype, requires_grad, hooks)
            return copy_without_size(data)
    raise build_malformed_refusal("_rebuild_parameter")


def rebuild_parameter_with_state(arguments: list[Value]) -> Tensor:
    """Check ``_rebuild_parameter_with_state``, which also sets simple attributes; return its tensor, with size 0.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Tensor() as data, requires_grad, hooks, state]:
            _check_flags(data.dtype, requires_grad, hooks)
            _check_attributes(state)
            return copy_without_size(data)
    raise build_malformed_refusal("_rebuild_parameter_with_state")


def make_parameter(arguments: list[Value]) -> Tensor:
    """Check a call of ``Parameter`` with a tensor and a gradient flag; return the tensor, with size 0.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Tensor() as data, requires_grad]:
            _check_flags(data.dtype, requires_grad, Mapping(kind="OrderedDict"))
            return copy_without_size(data)
    raise build_malformed_refusal("Parameter")


def rebuild_from_type(arguments: list[Value]) -> Tensor:
    """Check ``_rebuild_from_type_v2``, which calls its first argument and sets attributes on the result.

    Only the three ``_rebuild_tensor`` functions are allowed as first argument; returns the view that they build.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Global(function), Global("torch.Tensor"), Sequence(kind="tuple") as inner, state] if (
            function in _REBUILD_PLAIN
        ):
            _check_attributes(state)
            return _REBUILD_PLAIN[function](inner.items)
    raise build_malformed_refusal("_rebuild_from_type_v2")


def rebuild_quantized(arguments: list[Value]) -> Tensor:
    """Check the arguments of ``_rebuild_qtensor`` and return its result: a quantized view no larger than its storage.

    Raises:
        Refused: the arguments are invalid.
    """
    match arguments:
        case [Storage() as storage, offset, size, stride, Sequence(kind="tuple") as parameters, False, hooks] if (
            storage.dtype in _QUANTIZED
        ):
            tensor = _build_view(storage, storage.dtype, (offset, size, stride), is_quantized=True)
            _check_flags(storage.dtype, False, hooks)
            # torch allocates a tensor of this size before it reads the storage.
            if tensor.size <= storage.size() and _are_quantizer_parameters(parameters.items, tensor.shape):
                return tensor
    raise build_malformed_refusal("_rebuild_qtensor")


def _are_quantizer_parameters(parameters: list[Value], shape: tuple[int, ...]) -> bool:
    """Return whether the parameters are valid for a per-tensor or per-channel affine quantizer of this shape."""
    match parameters:
        case [Global("torch.per_tensor_affine"), float(scale), zero_point]:
            return math.isfinite(scale) and is_integer(zero_point, -128, 255)
        case [Global("torch.per_channel_affine"), Tensor() as scales, Tensor() as zero_points, int(axis)] if type(
            axis
        ) is int and 0 <= axis < len(shape):
            dtypes = (scales.dtype, zero_points.dtype)
            is_known = dtypes == (DTYPES["torch.float64"], DTYPES["torch.int64"])
            return is_known and scales.shape == zero_points.shape == (shape[axis],)
    return False


def _build_view(
    storage: Storage, dtype: Dtype, layout: tuple[Value, Value, Value], *, is_quantized: bool = False
) -> Tensor:
    """Build a view of a storage; ``layout`` is offset, size and stride, in elements.

    Raises:
        Refused: an element lies outside the storage, or the layout is invalid.
    """
    offset, shape, stride = layout[0], _get_integers(layout[1]), _get_integers(layout[2])
    if type(offset) is not int or offset < 0 or shape is None or stride is None or len(shape) != len(stride):
        raise Refused("has a tensor with an impossible shape", "malformed pickle")
    if (dtype in _QUANTIZED) != is_quantized:
        raise Refused("mixes quantized and ordinary tensors", "malformed pickle")
    if math.prod(max(1, length) for length in shape) > MAX_ELEMENTS:
        raise Refused("has a tensor with an impossible shape", "malformed pickle")
    count = math.prod(shape)
    end = offset + (1 + sum((length - 1) * step for length, step in zip(shape, stride, strict=True)) if count else 0)
    if end * dtype.size > storage.size():
        raise Refused("has a tensor that exceeds its data", "malformed pickle")
    return Tensor(dtype, shape, count * dtype.size, is_quantized, storage, offset, stride)


def _get_integers(value: Value) -> tuple[int, ...] | None:
    """Return the items of a tuple or Size of at most 32 integers from 0 to below 2^62; None for other values."""
    if not isinstance(value, Sequence) or value.kind not in ("tuple", "Size") or len(value.items) > MAX_DIMENSIONS:
        return None
    numbers = tuple(item for item in value.items if type(item) is int and 0 <= item < MAX_ELEMENTS)
    return numbers if len(numbers) == len(value.items) else None


def _check_flags(dtype: Dtype, requires_grad: Value, hooks: Value) -> None:
    """Check that gradients are possible if required, and that the hooks are none: an empty OrderedDict, or None.

    Old releases of torch wrote None.

    Raises:
        Refused: gradients of a dtype that cannot have them, or hooks, which are functions to be called.
    """
    if not isinstance(requires_grad, bool) or (requires_grad and not dtype.may_require_grad()):
        raise Refused("requires gradients of a tensor that cannot have any", "malformed pickle")
    if hooks is None:
        return
    if not isinstance(hooks, Mapping) or hooks.kind != "OrderedDict" or hooks.entries:
        raise Refused("has hooks on a tensor, which are functions to be called", "unsafe pickle")


def _check_metadata(dtype: Dtype, metadata: list[Value]) -> bool:
    """Check the optional marks of the view, ``conj`` and ``neg``; return whether there is one.

    torch sets each mark that is present, whatever its value, and computes what it means when the tensor is used.

    Raises:
        Refused: the metadata is something else, or torch cannot compute the marks for this dtype.
    """
    match metadata:
        case [] | [None]:
            return False
        case [Mapping(kind="dict") as entries] if all(
            key in ("conj", "neg") and isinstance(bit, bool) for key, bit in entries.entries
        ):
            marks = {key for key, _ in entries.entries}
            if not _can_compute(dtype, is_conjugated="conj" in marks, is_negated="neg" in marks):
                raise Refused(
                    f"has a tensor of type {dtype.label} that is marked as negated or conjugated, which torch cannot "
                    "compute for this type; save it again without the mark",
                    "unsupported value",
                )
            return bool(marks)
    raise Refused("has a tensor with unknown metadata", "malformed pickle")


def _can_compute(dtype: Dtype, *, is_conjugated: bool, is_negated: bool) -> bool:
    """Return whether torch can compute the values of a view with these marks."""
    if is_conjugated and is_negated and dtype is _COMPLEX_HALF:
        return False
    return (dtype.is_complex or not is_conjugated) and (dtype in _NEGATABLE or not is_negated)


def _check_attributes(state: Value) -> None:
    """Check attributes that a program has set on the tensor: known names, simple values.

    Raises:
        Refused: one is not.
    """
    match state:
        case Mapping(kind="dict") as attributes:
            for name, value in attributes.entries:
                if not isinstance(name, str) or name not in TENSOR_ATTRIBUTES or not isinstance(value, _PLAIN):
                    raise Refused(
                        f"sets '{str(name)[:80]}' on a tensor, which is an unknown attribute", "unusual pickle"
                    )
        case _:
            raise Refused("sets a state on a tensor that is not a dictionary of attributes", "malformed pickle")


_REBUILD_PLAIN: dict[str, Callable[[list[Value]], Tensor]] = {
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": rebuild_tensor_v3,
}

TENSOR_CALLS: dict[str, Callable[[list[Value]], Tensor]] = {
    **_REBUILD_PLAIN,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter_with_state,
    "torch._utils._rebuild_qtensor": rebuild_quantized,
    "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
    "torch.nn.parameter.Parameter": make_parameter,
}


def read_storage(identity: Value, *, is_legacy: bool) -> Storage:
    """Build a storage from a persistent id: ``('storage', type, key, location, count)``.

    In the old format a sixth item follows, a view that is always None, and there are no untyped storages: torch.load
    could not read them.

    Raises:
        Refused: the id is something else, or lacks the sixth item in the old format.
    """
    parts = identity.items if isinstance(identity, Sequence) and identity.kind == "tuple" else []
    if is_legacy and len(parts) == 6 and parts[5] is None:
        parts = parts[:5]
    elif is_legacy:
        parts = []
    match parts:
        # No untyped storages in the old format: torch.save writes them, but torch.load cannot read them.
        case ["storage", Global(name), str(key), str(), int(count)] if (
            name in STORAGES and is_integer(count) and not (is_legacy and name == UNTYPED_STORAGE)
        ):
            return Storage(key, count, STORAGES[name])
    raise Refused("refers to an external object that is not a tensor's storage", "unsafe pickle")
