"""A corpus of about 300 hostile pickle files, built on the spot: each names or calls what no file of tensors needs."""

import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.server.inspection import builders
from tests.server.inspection.builders import ZipEntry, build_pickle, call, named, number, sequence, table, text
from tests.server.inspection.hostile.globals import (
    OTHER_PACKAGES,
    PYTHON_RUNNERS,
    SHELL_RUNNERS,
    STANDARD_LIBRARY,
    split_name,
)

NAMES = ("model.ckpt", "model.pt", "model.pth", "model.bin")
TENSOR = builders.tensor("0", 4)


@dataclass(frozen=True)
class Call:
    """A call of a function with one text; ``function`` is a dotted name."""

    function: str
    argument: str

    @property
    def module(self) -> str:
        return split_name(self.function)[0]

    @property
    def name(self) -> str:
        return split_name(self.function)[1]

    def arguments(self) -> bytes:
        return sequence(text(self.argument))

    def push(self) -> bytes:
        return named(self.module, self.name)


def short(value: str) -> bytes:
    """Return the opcode of protocol 4 that pushes a short text."""
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def stack_global(made: Call) -> bytes:
    return short(made.module) + short(made.name) + b"\x93" + made.arguments() + b"R"


def memo_of_both(made: Call) -> bytes:
    """Name the function by two texts from the memo, which other texts were put over."""
    put = short("collections") + b"q\x00" + short(made.module) + b"q\x00" + short(made.name) + b"q\x01000"
    return put + b"h\x00h\x01\x93" + made.arguments() + b"R"


def memo_by_number(made: Call) -> bytes:
    """As ``memo_of_both``, with MEMOIZE and the long forms of PUT and GET."""
    put = short(made.module) + b"\x94" + short(made.name) + b"r\xff\x00\x00\x00" + b"00"
    return put + b"j\x00\x00\x00\x00j\xff\x00\x00\x00\x93" + made.arguments() + b"R"


def framed(made: Call) -> bytes:
    inner = stack_global(made)
    return b"\x95" + struct.pack("<Q", len(inner) + 1) + inner


def duplicated(made: Call) -> bytes:
    """Call a copy of the function, after a mark whose values are dropped."""
    return made.push() + b"2" + b"(" + text("x") * 3 + b"1" + made.arguments() + b"R" + b"\x86"


def by_state(made: Call) -> bytes:
    """Call the function as ``__setstate__`` of an object: BUILD."""
    module, name = "types", "SimpleNamespace"
    return call(named(module, name)) + table(__setstate__=made.push()) + b"b" + text(made.argument) + b"b"


# The scanner knows all opcodes of these, so that it refuses what they name.
NAMING_ENCODINGS = (
    "REDUCE",
    "OBJ",
    "a copy of the function",
    "text opcodes",
    "dropped before a tensor",
    "as a key",
    "in a list of lists",
)
ENCODINGS: dict[str, Callable[[Call], bytes]] = {
    "REDUCE": lambda made: made.push() + made.arguments() + b"R",
    "STACK_GLOBAL": stack_global,
    "STACK_GLOBAL in a frame": framed,
    "STACK_GLOBAL from an overwritten memo": memo_of_both,
    "STACK_GLOBAL from a memo by number": memo_by_number,
    "INST": lambda made: b"(" + text(made.argument) + f"i{made.module}\n{made.name}\n".encode(),
    "OBJ": lambda made: b"(" + made.push() + text(made.argument) + b"o",
    "a copy of the function": duplicated,
    "BUILD with __setstate__": by_state,
    "text opcodes": lambda made: f"c{made.module}\n{made.name}\n(V{made.argument}\ntR".encode(),
    "dropped before a tensor": lambda made: made.push() + made.arguments() + b"R0" + b"N",
    "as a key": lambda made: b"}" + made.push() + made.arguments() + b"R" + b"N" + b"s",
    "in a list of lists": lambda made: b"](](" + made.push() + made.arguments() + b"Ree",
    "nested pickle": lambda made: call(
        named("pickle", "loads"),
        call(
            named("_codecs", "encode"),
            text(build_pickle(made.push() + made.arguments() + b"R").decode("latin-1")),
            text("latin1"),
        ),
    ),
}
# Valid only where an unpickler resolves persistent ids, or where classes are made; Python's own loads none of them.
TORCH_ENCODINGS: dict[str, Callable[[Call], bytes]] = {
    "NEWOBJ": lambda made: made.push() + made.arguments() + b"\x81",
    "NEWOBJ_EX": lambda made: made.push() + made.arguments() + b"}\x92",
    "a persistent id that calls": lambda made: (
        sequence(text("storage"), made.push() + made.arguments() + b"R", text("0"), text("cpu"), number(4)) + b"Q"
    ),
    "a persistent id that names": lambda made: (
        sequence(text("storage"), made.push(), text("0"), text("cpu"), number(4)) + b"Q"
    ),
    "a persistent id as text": lambda made: b"P" + made.function.encode() + b"\n" + made.push(),
    "beside tensors": lambda made: table(w=TENSOR, x=made.push() + made.arguments() + b"R"),
    "hooks of a tensor": lambda made: call(
        named("torch._utils", "_rebuild_parameter"), TENSOR, b"\x88", made.push() + made.arguments() + b"R"
    ),
    "the state of a tensor": lambda made: call(
        named("torch._utils", "_rebuild_parameter_with_state"),
        TENSOR,
        b"\x88",
        call(named("collections", "OrderedDict")),
        table(forward=made.push()),
    ),
    "a class of tensors": lambda made: call(
        named("torch._tensor", "_rebuild_from_type_v2"), made.push(), named("torch", "Tensor"), b")", b"}"
    ),
    "an extension code": lambda made: b"\x82\x01" + made.push(),
}


def build_legacy(value: bytes, place: int) -> bytes:
    """Build a file of old torch whose pickle at this place, of five, has the value."""
    magic = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    values = [magic, b"M\xe9\x03", table(little_endian=b"\x88"), b"}", b"](" + text("94") + b"e"]
    values[place] = value if place == 3 else values[place] + value + b"0"
    return b"".join(map(build_pickle, values)) + struct.pack("<q", 4) + builders.WEIGHTS


def build_old_tar(value: bytes) -> bytes:
    """Build a file of torch before 0.1.10: a tar with four pickles."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            content = build_pickle(value if name == "pickle" else number(0))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def build_entries(value: bytes, name: str = "a/data.pkl") -> list[ZipEntry]:
    return [ZipEntry(name, build_pickle(value)), ZipEntry("a/data/0", builders.WEIGHTS), ZipEntry("a/version", b"3")]


# A clean value in each of these is accepted, so that only the value decides.
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "a torch zip": lambda value: builders.build_zip(*build_entries(table(w=TENSOR, x=value))),
    "a deflated torch zip": lambda value: builders.build_zip(
        ZipEntry("a/data.pkl", build_pickle(value), method=8), ZipEntry("a/version", b"3")
    ),
    "old torch": lambda value: build_legacy(table(w=builders.tensor("94", 4, legacy=True), x=value), 3),
}
# The scanner refuses these with any value; a loader may read them.
REFUSED_CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "a pickle": build_pickle,
    "a pickle of protocol 4": lambda value: build_pickle(value, 4),
    "the first pickle of old torch": lambda value: build_legacy(value, 0),
    "the last pickle of old torch": lambda value: build_legacy(value, 4),
    "a tar": build_old_tar,
}


def build_zip_tricks(value: bytes) -> dict[str, bytes]:
    """Build zips that a scanner and a loader may read differently."""
    bad, good = build_pickle(value), build_pickle(table(w=TENSOR))
    storage, version = ZipEntry("a/data/0", builders.WEIGHTS), ZipEntry("a/version", b"3\n")
    rest = (storage, version)
    one = builders.build_zip(ZipEntry("a/data.pkl", bad), *rest)
    clean = builders.build_zip(ZipEntry("a/data.pkl", good), *rest)
    variants: dict[str, list[ZipEntry]] = {
        "two members of one name": [ZipEntry("a/data.pkl", good), ZipEntry("a/data.pkl", bad), *rest],
        "names that differ by case": [ZipEntry("a/data.pkl", good), ZipEntry("a/DATA.PKL", bad), *rest],
        "another name in the local header": [ZipEntry("a/x", bad, local_name="a/data.pkl"), *rest],
        "a clean name in the local header": [ZipEntry("a/data.pkl", bad, local_name="a/x.txt"), *rest],
        "a wrong checksum": [ZipEntry("a/data.pkl", bad, crc=0), *rest],
        "marked as encrypted": [ZipEntry("a/data.pkl", bad, flags=0x0809), *rest],
        "marked as encrypted in the local header": [ZipEntry("a/data.pkl", bad, local_flags=0x0809), *rest],
        "an unknown compression": [ZipEntry("a/data.pkl", bad, method=99), *rest],
        "another compression in the local header": [ZipEntry("a/data.pkl", bad, local_method=8), *rest],
        "a size too small": [ZipEntry("a/data.pkl", bad, size=4), *rest],
        "bytes after the compressed ones": [ZipEntry("a/data.pkl", good, method=8, packed_tail=bad), *rest],
        "another disk": [ZipEntry("a/data.pkl", bad, disk=1), *rest],
        "a pickle as storage": [ZipEntry("a/data.pkl", good), ZipEntry("a/data/0", bad), version],
        "a second pickle": [ZipEntry("a/data.pkl", good), ZipEntry("a/extra.pkl", bad), *rest],
        "a pickle of another root": [ZipEntry("a/data.pkl", good), ZipEntry("b/data.pkl", bad), *rest],
        "constants": [ZipEntry("a/data.pkl", good), ZipEntry("a/constants.pkl", bad), *rest],
        "a script": [ZipEntry("a/data.pkl", good), ZipEntry("a/code/__torch__.py", b"import os"), *rest],
        "no extension": [ZipEntry("a/data", bad), *rest],
        "a path upwards": [ZipEntry("../a/data.pkl", bad), *rest],
        "a backslash": [ZipEntry("a\\data.pkl", bad), *rest],
        "a zip inside": [ZipEntry("a/data.pkl", one), *rest],
    }
    raw = {
        "a pickle before the zip": bad + clean,
        "a zip behind a clean zip": clean + one,
        "a zip before a clean zip": one + clean,
        "a zip with a clean zip as comment": one[:-2] + struct.pack("<H", len(clean)) + clean,
        "a pickle before the zip's first member": builders.build_zip(ZipEntry("a/data.pkl", good), *rest, before=bad),
        "a pickle between members": builders.build_zip(ZipEntry("a/data.pkl", bad), *rest, between=bad),
        "a pickle in the gap": builders.build_zip(ZipEntry("a/data.pkl", good), *rest, gap=bad, after=bad),
        "no end of the directory": one[:-22],
        "a truncated directory": one[:-40],
        "a destroyed first header": b"PK\0\0" + one[4:],
        "an archive of 7z": b"7z\xbc\xaf\x27\x1c\0\4" + bad,
    }
    return {name: builders.build_zip(*entries) for name, entries in variants.items()} | raw


def build_broken_streams(value: bytes) -> dict[str, bytes]:
    """Build streams that call first, and break then: a scanner that gives up has not seen the call."""
    called = b"\x80\x04" + value
    clean = build_pickle(b"}")
    return {
        "an unknown opcode after the call": called + b"\xff.",
        "no end": called,
        "a popped stack": called + b"0" * 9 + b".",
        "a truncated text": called + b"X\xff\xff\xff\x7f",
        "a text that is not UTF-8": called + b"X\x01\0\0\0\xff.",
        "a second pickle": clean + build_pickle(value),
        "a clean pickle behind it": build_pickle(value) + clean,
        "a protocol of the future": b"\x80\xc8" + value + b".",
        "no protocol": value + b".",
        "a missing memo": called + b"h\xee.",
        "a frame too long": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + value + b".",
        "megabytes of nothing before it": b"\x80\x04" + b"N0" * 600_000 + value + b".",
        "a bytearray of 2^40": b"\x80\x05" + value + b"\x96" + struct.pack("<Q", 2**40) + b".",
        "the header of safetensors": struct.pack("<Q", 2) + b"{}" + build_pickle(value),
    }


def build_runnable(marker: Callable[[int], Path]) -> Iterator[tuple[str, bytes, Path]]:
    """Yield pickles that Python's ``pickle`` runs, with the file that each creates when it runs."""
    # The error ends runners that would repeat it.
    calls = [(runner, "[open({path!r}, 'w').close()][1]") for runner in PYTHON_RUNNERS]
    calls += [(runner, "touch '{path}'") for runner in SHELL_RUNNERS]
    number_of = 0
    for runner, argument in calls:
        for label, encode in ENCODINGS.items():
            path = marker(number_of)
            number_of += 1
            made = Call(runner, argument.format(path=str(path)))
            yield f"{runner}, {label}", build_pickle(encode(made), 4), path


def build_calls(marker: Path) -> list[Call]:
    """Return a call of each function of the lists; those that run code or a command would create the file."""
    python, shell = f"open({str(marker)!r}, 'w')", f"touch '{marker}'"
    others = (*PYTHON_RUNNERS, *STANDARD_LIBRARY, *OTHER_PACKAGES)
    return [Call(name, shell) for name in SHELL_RUNNERS] + [Call(name, python) for name in others]


def build_naming_files(marker: Path) -> Iterator[tuple[Call, bytes]]:
    """Yield a file for each function: all ways of naming it, in all containers, take turns."""
    pairs = list(product(NAMING_ENCODINGS, CONTAINERS.values()))
    for index, made in enumerate(build_calls(marker)):
        encoding, pack = pairs[index % len(pairs)]
        yield made, pack(ENCODINGS[encoding](made))


def build_hostile_files(marker: Path) -> dict[str, bytes]:
    """Return the corpus by name; what runs of it creates the file ``marker``."""
    system = Call("os.system", f"touch '{marker}'")
    files = dict[str, bytes]()
    refused = list(REFUSED_CONTAINERS)
    for index, (label, encode) in enumerate((ENCODINGS | TORCH_ENCODINGS).items()):
        files |= {f"{label}, {container}": pack(encode(system)) for container, pack in CONTAINERS.items()}
        container = refused[index % len(refused)]
        files[f"{label}, {container}"] = REFUSED_CONTAINERS[container](encode(system))
    files |= {f"zip: {name}": content for name, content in build_zip_tricks(ENCODINGS["REDUCE"](system)).items()}
    files |= {f"stream: {name}": content for name, content in build_broken_streams(stack_global(system)).items()}
    naming = build_naming_files(marker)
    files |= {f"names {made.function}": content for made, content in naming if made.function != system.function}
    files["a whole object"] = pickle.dumps(Path("/"), 4)
    return files
