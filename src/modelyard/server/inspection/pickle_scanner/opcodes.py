"""The opcodes that torch's ``weights_only`` loader reads, and their arguments; any other is refused.

From ``torch/_weights_only_unpickler.py``, less EMPTY_SET and NEWOBJ, which torch.save does not write for tensors.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Iterator

from .ranges import RangeFile, Refused

Argument = object


def read_opcodes(source: RangeFile) -> Iterator[tuple[int, Argument]]:
    """Yield each opcode with its argument, up to and including STOP.

    Raises:
        Refused: an opcode is not allowed, or the pickle is damaged or ends early.
    """
    while True:
        code = source.read(1)
        if not code:
            raise Refused("has a pickle that is damaged or ends early")
        read_argument = _ARGUMENTS.get(code[0])
        if read_argument is None:
            raise Refused(
                f"uses the pickle opcode {_get_opcode_name(code)}, which files of tensors do not need", "unusual pickle"
            )
        yield code[0], read_argument(source)
        if code == pickle.STOP:
            return


def _get_opcode_name(code: bytes) -> str:
    """Return the name of an opcode for a message; its hex code if it has none."""
    names = (opcode.name for opcode in pickletools.opcodes if opcode.code == code.decode("latin-1"))
    return next(names, f"0x{code.hex()}")


def _read_exactly(source: RangeFile, length: int) -> bytes:
    """Read exactly ``length`` bytes.

    Raises:
        Refused: the pickle ends before them.
    """
    raw = source.read(length)
    if len(raw) != length:
        raise Refused("has a pickle that is damaged or ends early")
    return raw


def _read_nothing(_source: RangeFile) -> None:
    """Read no argument."""
    return


def _read_uint8(source: RangeFile) -> int:
    """Read one byte as a number from 0 to 255."""
    return _read_exactly(source, 1)[0]


def _read_uint16(source: RangeFile) -> int:
    """Read an unsigned integer of two bytes, little-endian."""
    return int.from_bytes(_read_exactly(source, 2), "little")


def _read_uint32(source: RangeFile) -> int:
    """Read an unsigned integer of four bytes, little-endian."""
    return int.from_bytes(_read_exactly(source, 4), "little")


def _read_int32(source: RangeFile) -> int:
    """Read a signed integer of four bytes, little-endian."""
    return int.from_bytes(_read_exactly(source, 4), "little", signed=True)


def _read_long(source: RangeFile) -> int:
    """Read a signed integer of any length, after a byte with its length."""
    return int.from_bytes(_read_exactly(source, _read_uint8(source)), "little", signed=True)


def _read_float(source: RangeFile) -> float:
    """Read a big-endian float of 8 bytes."""
    (number,) = struct.unpack(">d", _read_exactly(source, 8))
    return float(number)


def _read_text(source: RangeFile) -> str:
    """Read a UTF-8 text after its 32-bit length; surrogates pass."""
    return _decode(_read_exactly(source, _read_uint32(source)), "surrogatepass")


def _read_python2_text(source: RangeFile) -> str:
    """Read a text of Python 2 after a byte with its length; torch reads it as UTF-8."""
    return _decode(_read_exactly(source, _read_uint8(source)), "strict")


def _read_global_name(source: RangeFile) -> tuple[str, str]:
    """Read module and name of a global, each ended by a newline and of at most ``MAX_LINE`` bytes."""
    module, name = source.readline(), source.readline()
    return _decode(module[:-1], "strict"), _decode(name[:-1], "strict")


def _decode(raw: bytes, errors: str) -> str:
    """Decode UTF-8.

    Raises:
        Refused: it is not UTF-8.
    """
    try:
        return raw.decode("utf-8", errors)
    except UnicodeDecodeError:
        raise Refused("has a text in its pickle that is not UTF-8") from None


_ARGUMENTS: dict[int, Callable[[RangeFile], Argument]] = {
    pickle.PROTO[0]: _read_uint8,
    pickle.GLOBAL[0]: _read_global_name,
    pickle.BINUNICODE[0]: _read_text,
    pickle.SHORT_BINSTRING[0]: _read_python2_text,
    pickle.BININT[0]: _read_int32,
    pickle.BININT1[0]: _read_uint8,
    pickle.BININT2[0]: _read_uint16,
    pickle.LONG1[0]: _read_long,
    pickle.BINFLOAT[0]: _read_float,
    **{code[0]: _read_uint8 for code in (pickle.BINGET, pickle.BINPUT)},
    **{code[0]: _read_uint32 for code in (pickle.LONG_BINGET, pickle.LONG_BINPUT)},
    **{
        code[0]: _read_nothing
        for code in (
            *(pickle.STOP, pickle.MARK, pickle.REDUCE, pickle.BUILD, pickle.BINPERSID),
            *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
            *(pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.SETITEM, pickle.SETITEMS, pickle.APPEND, pickle.APPENDS),
            *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
        )
    },
}
