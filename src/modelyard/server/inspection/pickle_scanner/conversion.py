"""The sandbox program that plans the conversion of a clean file: which tensors it has, and where their bytes are.

The parent process copies the bytes; a plan has names, dtypes, shapes and positions only.
"""

from . import program
from .containers import ScanResult, scan
from .ranges import Ranges, Refused
from .values import Mapping, Sequence, Tensor, Value

# Where programs keep the state dict inside of what they save, as ComfyUI and spandrel look for it.
_WRAPPERS = ("state_dict", "params_ema", "params-ema", "params", "model", "net")
# The state of a training, and weights before the averages of the same name: nothing that a loader of weights reads.
_LEFT_OUT = frozenset(
    {
        *("optimizer", "optimizers", "optimizer_state", "optimizer_states", "optimizer_state_dict", "optim", "opt"),
        *("scheduler", "schedulers", "lr_scheduler", "lr_schedulers", "scaler", "grad_scaler", "callbacks", "loops"),
        *("rng_state", "rng_states", "cuda_rng_state", "step", "global_step", "epoch", "iter", "iteration"),
        *("params_ema", "params-ema", "params"),
    }
)
# The one tensor of a textual inversion, and the name under which ComfyUI finds it in safetensors.
_EMBEDDING, _EMBEDDING_NAME = "string_to_param", "emb_params"
# Of the entries that are left out, so many are named, with so many characters each.
_MAX_NAMED, _MAX_NAME = 20, 80
# Other dtypes of torch have no safetensors dtype.
_DTYPES = frozenset(
    {
        *("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "C64"),
        *("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"),
    }
)


def main(arguments: list[str]) -> None:
    """Plan the conversion and print the verdict; ``arguments``: memory in bytes, seconds of processor time."""
    program.main(arguments, _plan)


def _plan(ranges: Ranges) -> dict[str, object]:
    """Return the verdict: ``tensors`` with their places and ``left_out``; of a refusal ``reason`` and ``found``."""
    try:
        left_out: list[str] = []
        tensors = list_tensors(scan(ranges), left_out)
        return {"tensors": tensors, "left_out": left_out[:_MAX_NAMED], "left_out_count": len(left_out)}
    except Refused as refused:
        return {"reason": refused.reason, "found": refused.found}


def list_tensors(
    scanned: ScanResult, left_out: list[str]
) -> list[tuple[str, str, tuple[int, ...], tuple[int, ...], int]]:
    """Return name, dtype, shape, stride in elements, and position in the file of each tensor of the state dict.

    The names of all entries that are not converted are added to ``left_out``.

    Raises:
        Refused: there is no dictionary of tensors, it would not have all of them, or safetensors cannot hold one.
    """
    if scanned.is_big_endian:
        raise Refused("was saved on a machine with big-endian numbers", "big-endian file")
    entries = find_state_dict(scanned.value, left_out)
    named = [(name, tensor) for name, tensor in entries.items() if isinstance(tensor, Tensor)]
    if not named:
        raise Refused("has no dictionary of tensors at a place where ComfyUI looks for one", "no state dict")
    _leave_out({name: value for name, value in entries.items() if not isinstance(value, Tensor)}, left_out)
    return [_describe(name, tensor, scanned) for name, tensor in named]


def find_state_dict(value: Value, left_out: list[str]) -> dict[Value, Value]:
    """Return the dictionary of tensors in a saved value, where ComfyUI's loader, and then spandrel, find it.

    The names of entries beside it are added to ``left_out``.

    Raises:
        Refused: other tensors are beside it, which the converted file would not have.
    """
    entries = _get_entries(value)
    if isinstance(entries.get("state_dict"), Mapping):
        entries = _unwrap(entries, "state_dict", left_out)
    elif len(entries) == 1 and isinstance(inner := next(iter(entries.values())), Mapping):
        entries = _get_entries(inner)
    for name in _WRAPPERS:
        if isinstance(entries.get(name), Mapping):
            return _unwrap(entries, name, left_out)
    embedding = list(_get_entries(entries.get(_EMBEDDING)).values())
    if len(embedding) != 1:
        return entries
    _unwrap(entries, _EMBEDDING, left_out)
    return {_EMBEDDING_NAME: embedding[0]}


def _unwrap(entries: dict[Value, Value], name: str, left_out: list[str]) -> dict[Value, Value]:
    """Return the entries of the mapping ``name``; raises ``Refused`` if tensors are beside it."""
    _leave_out({key: value for key, value in entries.items() if key != name}, left_out)
    return _get_entries(entries[name])


def _leave_out(others: dict[Value, Value], left_out: list[str]) -> None:
    """Check that entries which are not converted have no tensors but those of a training, and add their names.

    Raises:
        Refused: one has.
    """
    seen = set[int]()
    for name, value in others.items():
        label = name[:_MAX_NAME] if isinstance(name, str) else ""
        if name not in _LEFT_OUT and (_has_tensor(name, seen) or _has_tensor(value, seen)):
            where = f"'{label}'" if label else "an entry without a name"
            raise Refused(f"has tensors in {where}, which the converted file would not have", "tensors left out")
        left_out.append(label or "(no name)")


def _has_tensor(value: Value, seen: set[int]) -> bool:
    """Return whether a value is or contains a tensor; containers in ``seen`` have none, and others are added."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Tensor):
            return True
        if id(found) in seen:
            continue
        if isinstance(found, Sequence):
            seen.add(id(found))
            waiting += found.items
        elif isinstance(found, Mapping):
            seen.add(id(found))
            waiting += (part for entry in found.entries for part in entry)
    return False


def _get_entries(value: Value) -> dict[Value, Value]:
    """Return the entries of a mapping by key, the last one of each; empty for any other value."""
    return dict(value.entries) if isinstance(value, Mapping) else {}


def _describe(
    name: Value, tensor: Tensor, scanned: ScanResult
) -> tuple[str, str, tuple[int, ...], tuple[int, ...], int]:
    """Return the entry of a tensor in the plan.

    Raises:
        Refused: the name is no text, or safetensors cannot hold the tensor.
    """
    if not isinstance(name, str) or name == "__metadata__" or not _is_encodable(name):
        raise Refused("has a tensor whose name is no text that safetensors can hold", "unsupported tensor")
    if tensor.is_quantized or tensor.is_lazy or tensor.dtype.label not in _DTYPES or tensor.storage is None:
        raise Refused(f"has a tensor ({name[:80]}) of a kind that safetensors cannot hold", "unsupported tensor")
    position = scanned.starts[tensor.storage.key] + tensor.offset * tensor.dtype.size
    return name, tensor.dtype.label, tensor.shape, tensor.stride, position


def _is_encodable(name: str) -> bool:
    """Return whether a text has no surrogates."""
    return all(not 0xD800 <= ord(character) < 0xE000 for character in name)
