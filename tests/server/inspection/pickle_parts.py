"""Parts of pickles of tensors, as torch and NumPy write them."""

import pickle
import struct

from modelyard.server.inspection.pickle_scanner.allowed import DTYPES, STORAGES, UNTYPED_DTYPES
from tests.server.inspection import builders
from tests.server.inspection.builders import ZipEntry, build_pickle, call, named, number, sequence, text

TRUE, FALSE, NONE = b"\x88", b"\x89", b"N"
HOOKS = call(named("collections", "OrderedDict"))
TENSOR = builders.tensor("0", 4)


def long_number(value: int) -> bytes:
    """Return the opcode that pushes an integer of any size."""
    return pickle.dumps(value, 2)[2:-1]


def real(value: float) -> bytes:
    """Return the opcode that pushes a float."""
    return b"G" + struct.pack(">d", value)


def raw(value: bytes) -> bytes:
    """Return the opcodes that push bytes, as protocol 2 writes them."""
    return call(named("_codecs", "encode"), text(value.decode("latin-1")), text("latin1"))


def array(*items: bytes) -> bytes:
    """Return the opcodes that push a list."""
    return b"](" + b"".join(items) + b"e"


def storage(kind: str = "FloatStorage", count: int = 4, module: str = "torch") -> bytes:
    """Return the opcodes that push storage "0"."""
    return sequence(text("storage"), named(module, kind), text("0"), text("cpu"), long_number(count)) + b"Q"


def untyped(count: int = 16) -> bytes:
    """Return the opcodes that push an untyped storage of ``count`` bytes."""
    return storage("UntypedStorage", count, "torch.storage")


def numbers(*values: int) -> bytes:
    """Return the opcodes that push a tuple of integers."""
    return sequence(*map(long_number, values))


WHOLE_STORAGE = (number(0), numbers(4), numbers(1))


def view(
    offset: bytes = WHOLE_STORAGE[0],
    size: bytes = WHOLE_STORAGE[1],
    stride: bytes = WHOLE_STORAGE[2],
    *rest: bytes,
    of: bytes = storage(),
) -> bytes:
    """Return the opcodes that push a view of a storage; ``rest``: gradient flag, hooks and metadata."""
    function = named("torch._utils", "_rebuild_tensor_v2")
    return call(function, of, offset, size, stride, *(rest or (FALSE, HOOKS)))


def view_bytes_as(dtype: bytes, *metadata: bytes, flag: bytes = FALSE, count: int = 16, of: bytes = untyped()) -> bytes:
    """Return the opcodes that push a view of untyped bytes as ``dtype``."""
    function = named("torch._utils", "_rebuild_tensor_v3")
    return call(function, of, number(0), numbers(count), numbers(1), flag, HOOKS, dtype, *metadata)


def view_all_as(dtype: str, *metadata: bytes, flag: bytes = FALSE) -> bytes:
    """Return the opcodes that push all of storage "0" as a view of ``dtype``, as ``torch.save`` writes this dtype."""
    full_name = f"torch.{dtype}"
    if full_name in UNTYPED_DTYPES:
        count = 16 // UNTYPED_DTYPES[full_name].size
        return view_bytes_as(named("torch", dtype), *metadata, flag=flag, count=count)
    kind, found = next((name, found) for name, found in STORAGES.items() if found is DTYPES[full_name])
    count = 16 // found.size
    of = storage(kind.removeprefix("torch."), count)
    return view(number(0), numbers(count), numbers(1), flag, HOOKS, *metadata, of=of)


def parameter(tensor: bytes, flag: bytes = FALSE) -> bytes:
    """Return the opcodes that push a Parameter of a tensor."""
    return call(named("torch._utils", "_rebuild_parameter"), tensor, flag, HOOKS)


def quantized(*parameters: bytes, size: bytes = numbers(16), of: bytes = storage("QInt8Storage", 16)) -> bytes:
    """Return the opcodes that push a quantized tensor with these quantizer parameters."""
    function = named("torch._utils", "_rebuild_qtensor")
    return call(function, of, number(0), size, numbers(1), sequence(*parameters), FALSE, HOOKS)


def numpy_dtype(name: str = "f8", align: bytes = FALSE, copy: bytes = TRUE) -> bytes:
    """Return the opcodes that push a NumPy dtype."""
    return call(named("numpy", "dtype"), text(name), align, copy)


def numpy_state(*changes: tuple[int, bytes]) -> bytes:
    """Return the opcodes that set the state of float64, with changed items, on a NumPy dtype."""
    state = [number(3), text("<"), NONE, NONE, NONE, number(-1), number(-1), number(0)]
    for index, value in changes:
        state[index] = value
    return sequence(*state) + b"b"


def numpy_scalar(dtype: bytes, content: bytes = raw(bytes(8)), core: str = "_core") -> bytes:
    """Return the opcodes that push a NumPy scalar."""
    return call(named(f"numpy.{core}.multiarray", "scalar"), dtype, content)


def checkpoint(value: bytes) -> bytes:
    """Build a torch zip of the value, with one storage of 16 bytes if the value refers to one."""
    entries = [ZipEntry("a/data.pkl", build_pickle(value)), ZipEntry("a/version", b"3\n")]
    return builders.build_zip(*entries, *([ZipEntry("a/data/0", builders.WEIGHTS)] if b"storage" in value else []))


def place_storage(value: bytes, remainder: int) -> bytes:
    """Build a torch zip of the value, whose storage begins ``remainder`` bytes behind a multiple of 64."""
    pickled, data = ZipEntry("a/data.pkl", build_pickle(value)), ZipEntry("a/data/0", builders.WEIGHTS, extra=b"")
    start_without_padding = len(pickled.local()) + 30 + len(data.name) + 4
    padding = (remainder - start_without_padding) % 64
    data.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    return builders.build_zip(pickled, data, ZipEntry("a/version", b"3\n"))


def nest_pairs(value: bytes, times: int) -> bytes:
    """Return the opcodes that replace a value by a pair of it, ``times`` times: few opcodes for 2^times leaves."""
    return value + b"".join(b"q%c" % index + b"h%c" % index + b"\x86" for index in range(times))
