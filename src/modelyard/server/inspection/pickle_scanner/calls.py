"""The functions that a pickle may call, with which arguments, and which objects it may set a state on."""

from collections import OrderedDict
from collections.abc import Callable

from .allowed import DEVICE_TYPES, VALUES
from .budget import Budget
from .ranges import Refused
from .tensors import TENSOR_CALLS, build_malformed_refusal
from .values import Global, Mapping, Opaque, Sequence, Value, build_mapping, build_sequence, is_integer

MAX_DEVICES = 128

# The one NumPy dtype whose scalars ComfyUI loads: its list of safe globals names Float64DType. Objects, structures and
# other layouts are not representable here.
FLOAT64 = Opaque("numpy.float64 dtype")
_FLOAT64_STATES = [[3, order, None, None, None, -1, -1, 0] for order in "<>"]


def call(function: Value, arguments: Value, budget: Budget) -> Value:
    """Check a call and return its abstract result; nothing is called.

    Raises:
        Refused: the function or its arguments are not allowed.
    """
    if not isinstance(function, Global) or not isinstance(arguments, Sequence) or arguments.kind != "tuple":
        raise Refused("calls something that is not a function for tensors", "unsafe pickle")
    if function.name in TENSOR_CALLS:
        return TENSOR_CALLS[function.name](arguments.items)
    if function.name in _OTHER_CALLS:
        return _OTHER_CALLS[function.name](arguments.items, budget)
    raise Refused(f"calls '{function.name[:120]}', which is not a function for tensors", "unsafe pickle")


def set_state(target: Value, state: Value) -> None:
    """Check a BUILD opcode: a state for an OrderedDict that was not used yet, or for the allowed NumPy dtype.

    Raises:
        Refused: the target is another value, or cannot have this state.
    """
    if isinstance(target, Mapping) and target.kind == "OrderedDict":
        _check_ordered_dict_state(target, state)
    elif target is not FLOAT64 or not isinstance(state, Sequence) or state.kind != "tuple":
        raise Refused("sets the state of something that is not a tensor", "unsafe pickle")
    elif state.items not in _FLOAT64_STATES or any(isinstance(item, bool | float) for item in state.items):
        raise Refused("has a NumPy dtype with an unknown state", "malformed pickle")


def _check_ordered_dict_state(target: Mapping, state: Value) -> None:
    """Check attributes for an OrderedDict, and add their depth and weight to it.

    A state_dict stores its ``_metadata`` this way.

    Raises:
        Refused: a name is not an identifier or would hide an attribute of the class, or the target was used already.
    """
    if not isinstance(state, Mapping) or state.kind != "dict":
        raise Refused("has a dictionary with an unknown state", "malformed pickle")
    for name, _ in state.entries:
        if not isinstance(name, str) or not name.isidentifier() or hasattr(OrderedDict, name):
            raise Refused("sets an attribute on a dictionary that would break it", "malformed pickle")
    target.add_values([state])


def _make_ordered_dict(arguments: list[Value], budget: Budget) -> Value:
    """Return an OrderedDict that is empty, or made from a list of pairs, as Python 2 wrote it.

    Raises:
        Refused: it has other arguments, or keys that are refused.
    """
    match arguments:
        case []:
            return Mapping(kind="OrderedDict")
        case [Sequence(kind="list") as pairs]:
            budget.spend(len(pairs.items))
            entries = [_split_pair(item) for item in pairs.items]
            budget.check_keys([key for key, _ in entries])
            return build_mapping("OrderedDict", entries)
    raise build_malformed_refusal("OrderedDict")


def _split_pair(value: Value) -> tuple[Value, Value]:
    """Return key and value of a list or tuple of two.

    Raises:
        Refused: it is something else.
    """
    match value:
        case Sequence(kind="list" | "tuple", items=[key, item]):
            return key, item
    raise build_malformed_refusal("OrderedDict")


def _make_counter(arguments: list[Value], budget: Budget) -> Value:
    """Return a Counter, empty or from a dict.

    Raises:
        Refused: it has other arguments.
    """
    match arguments:
        case [Mapping(kind="dict") as counts]:
            budget.spend(len(counts.entries))
            return build_mapping("Counter", counts.entries)
        case []:
            return Mapping(kind="Counter")
    raise build_malformed_refusal("Counter")


def _make_set(arguments: list[Value], budget: Budget) -> Value:
    """Return a set from a list of hashable values.

    Raises:
        Refused: it has other arguments, or members that are refused.
    """
    match arguments:
        case [Sequence(kind="list") as members]:
            budget.spend(len(members.items))
            budget.check_keys(members.items)
            return build_sequence("set", members.items)
    raise build_malformed_refusal("set")


def _make_size(arguments: list[Value], budget: Budget) -> Value:
    """Return a torch.Size from a tuple of integers.

    Raises:
        Refused: it has other arguments.
    """
    match arguments:
        case [Sequence(kind="tuple") as lengths] if all(map(is_integer, lengths.items)):
            budget.spend(len(lengths.items))
            return build_sequence("Size", lengths.items)
    raise build_malformed_refusal("torch.Size")


def _make_device(arguments: list[Value], _budget: Budget) -> Value:
    """Return a device of a known type, with an optional index below ``MAX_DEVICES``.

    Raises:
        Refused: it has other arguments.
    """
    match arguments:
        case [str(kind)] if kind in DEVICE_TYPES:
            return Opaque("device")
        case [str(kind), index] if kind in DEVICE_TYPES and is_integer(index, 0, MAX_DEVICES - 1):
            return Opaque("device")
    raise build_malformed_refusal("torch.device")


def _make_bytes(arguments: list[Value], budget: Budget) -> Value:
    """Encode a text as Latin-1: bytes as Python 3 writes them for Python 2.

    Raises:
        Refused: another codec, which could be any module of that name, or a text that is not Latin-1.
    """
    match arguments:
        case [str(text), "latin1" | "latin-1"]:
            budget.spend(0, created_bytes=len(text))
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                raise build_malformed_refusal("_codecs.encode") from None
    raise build_malformed_refusal("_codecs.encode")


def _make_bytearray(arguments: list[Value], budget: Budget) -> Value:
    """Return a bytearray from bytes, from a text in Latin-1, or empty.

    Raises:
        Refused: the argument is a number, which would allocate that many bytes, or of another type.
    """
    match arguments:
        case [bytes(raw)]:
            budget.spend(0, created_bytes=len(raw))
        case [_, _]:
            _make_bytes(arguments, budget)
        case [_, *_]:
            raise build_malformed_refusal("bytearray")
    return Opaque("bytearray")


def _make_complex(arguments: list[Value], _budget: Budget) -> Value:
    """Return a complex number from two floats.

    Raises:
        Refused: it has other arguments.
    """
    match arguments:
        case [float(), float()]:
            return Opaque("complex")
    raise build_malformed_refusal("complex")


def _make_numpy_dtype(arguments: list[Value], _budget: Budget) -> Value:
    """Return the float64 dtype.

    Raises:
        Refused: it is any other dtype.
    """
    match arguments:
        case ["f8", int(align), int(copy)] if (align, copy) == (0, 1):
            return FLOAT64
        case [str(name), *_]:
            raise Refused(f"has a NumPy value of type '{name[:20]}'; ComfyUI loads 'f8' only", "unsupported value")
    raise build_malformed_refusal("numpy.dtype")


def _make_numpy_scalar(arguments: list[Value], _budget: Budget) -> Value:
    """Return a NumPy scalar from the float64 dtype and eight bytes.

    Raises:
        Refused: it has other arguments.
    """
    match arguments:
        case [dtype, bytes(raw)] if dtype is FLOAT64 and len(raw) == 8:
            return Opaque("numpy scalar")
    raise build_malformed_refusal("numpy.core.multiarray.scalar")


_OTHER_CALLS: dict[str, Callable[[list[Value], Budget], Value]] = {
    "collections.OrderedDict": _make_ordered_dict,
    "collections.Counter": _make_counter,
    "builtins.set": _make_set,
    "builtins.bytearray": _make_bytearray,
    "builtins.complex": _make_complex,
    "_codecs.encode": _make_bytes,
    "torch.Size": _make_size,
    "torch.device": _make_device,
    "numpy.dtype": _make_numpy_dtype,
    "numpy.core.multiarray.scalar": _make_numpy_scalar,
    "numpy._core.multiarray.scalar": _make_numpy_scalar,
}

NAMEABLE = VALUES | TENSOR_CALLS.keys() | _OTHER_CALLS.keys()
