"""The names that the pickles of a refused file import, listed for people; nothing is decided by this list.

The opcodes are read without an interpretation, so a name that a file puts together in an unusual way can be missing.
"""

import pickletools
from dataclasses import dataclass, field
from io import BytesIO

from . import zips
from .budget import MAX_PICKLE
from .calls import NAMEABLE
from .ranges import PROCESS_FAILURES, Ranges

# Of the whole file, however many pickles it has.
MAX_OPCODES = 1_000_000
MAX_BYTES = 2 * MAX_PICKLE
MAX_PICKLES = 100
MAX_NAMES_READ = 20_000
MAX_NAMES = 100
MAX_NAME = 400
# So many pickles are in the stream that torch wrote before 1.6; the bytes of tensors follow them.
PICKLES_OF_STREAM = 5
_TEXTS = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
_STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_LOADS = frozenset({"GET", "BINGET", "LONG_BINGET"})


@dataclass
class ImportList:
    """The names found so far, in their order, what may still be read, and whether something was left out."""

    names: dict[str, None] = field(default_factory=dict)
    opcodes_left: int = MAX_OPCODES
    is_complete: bool = True

    def read_pickle(self, content: BytesIO) -> None:
        """Add the names of the pickle at the beginning of ``content``, and leave the rest.

        Raises:
            Exception: of many kinds, if it is damaged, or the limits of the file are exceeded.
        """
        texts: list[str] = []
        memo: dict[object, str] = {}
        for opcode, argument, _ in pickletools.genops(content):
            self.opcodes_left -= 1
            if self.opcodes_left < 0 or len(self.names) >= MAX_NAMES_READ:
                raise ValueError("The file has more than is listed.")
            if opcode.name in ("GLOBAL", "INST"):
                self.names[str(argument)[:MAX_NAME].replace(" ", ".", 1)] = None
            elif opcode.name == "STACK_GLOBAL":
                self.names[".".join(texts[-2:])] = None
            else:
                _note_text(opcode.name, argument, texts, memo)

    def build_pairs(self) -> list[tuple[str, bool]]:
        """Return names and whether files of tensors need each: the others first, at most ``MAX_NAMES``."""
        pairs = sorted(((name, name in NAMEABLE) for name in self.names), key=lambda pair: pair[1])
        return pairs[:MAX_NAMES]


def list_imports(ranges: Ranges) -> dict[str, object]:
    """Read the names that the pickles of a file import; return them as the entries of the verdict.

    They are ``imports``, pairs as of ``build_pairs``, and ``imports_complete``, which is false if a pickle could not be
    read.
    """
    found = ImportList()
    # The file is refused already, and pickletools raises many kinds of exception: each ends one pickle only.
    try:
        if ranges.read(0, min(2, ranges.size)).startswith(b"PK"):
            _read_members(ranges, found)
        else:
            found.is_complete = _read_stream(ranges, found)
    except PROCESS_FAILURES:
        raise
    except Exception:  # noqa: BLE001 - see above
        found.is_complete = False
    is_complete = found.is_complete and len(found.names) <= MAX_NAMES
    return {"imports": found.build_pairs(), "imports_complete": is_complete}


def _read_stream(ranges: Ranges, found: ImportList) -> bool:
    """Add the names of the pickles that a file begins with; return whether all that torch would read were read."""
    content = BytesIO(ranges.read(0, min(ranges.size, MAX_PICKLE)))
    for _ in range(PICKLES_OF_STREAM):
        if content.tell() == ranges.size:
            break
        found.read_pickle(content)
    return True


def _read_members(ranges: Ranges, found: ImportList) -> None:
    """Add the names of the pickles in a zip, first of the one that torch loads; a failure makes the list incomplete."""
    members = [member for member in zips.read_members(ranges).values() if member.name.endswith(".pkl")]
    members.sort(key=lambda member: not member.name.endswith("/data.pkl"))
    bytes_left = MAX_BYTES
    found.is_complete = len(members) <= MAX_PICKLES
    for member in members[:MAX_PICKLES]:
        bytes_left -= member.size
        try:
            if bytes_left < 0:
                raise ValueError("The file has more than is listed.")
            found.read_pickle(BytesIO(zips.unpack(ranges, member, MAX_PICKLE)))
        except PROCESS_FAILURES:
            raise
        except Exception:  # noqa: BLE001 - the others are read nevertheless
            found.is_complete = False


def _note_text(opcode: str, argument: object, texts: list[str], memo: dict[object, str]) -> None:
    """Note the texts that an opcode pushes, stores or loads; a STACK_GLOBAL takes the last two."""
    if opcode in _TEXTS:
        texts.append(str(argument)[: MAX_NAME // 2])
    elif opcode == "MEMOIZE":
        memo[len(memo)] = texts[-1] if texts else ""
    elif opcode in _STORES:
        memo[argument] = texts[-1] if texts else ""
    elif opcode in _LOADS and argument in memo:
        texts.append(memo[argument])
