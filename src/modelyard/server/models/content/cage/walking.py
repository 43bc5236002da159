"""A pickle's opcodes followed on a stack of shadows: nothing is imported, called or built.

The machine knows a value only where a rule needs it: texts, integers, tuples, lists and names of globals. Everything
else is a shadow. A name is accepted only if it is in ``allowed`` letter for letter; a name that the file computes
stays a shadow and is refused, as is every opcode that torch.save does not write.
"""

import pickletools
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from .allowed import CALLABLE, CALLS_ITS_ARGUMENT, NAMEABLE, REBUILDERS, STORAGES
from .ranges import RangeFile, Refused
from .shadows import MARK, OBJECT, TENSOR, VALUE, Global, Machine, Storage, Walked

MAX_PICKLE = 64 * 1024 * 1024
MAX_OPCODES = 10_000_000
MAX_TEXT = 512
MAX_NAMES = 20_000


def walk(source: RangeFile) -> Walked:
    """Follows one pickle to its STOP and leaves ``source`` behind it.

    Raises:
        Refused: the pickle names, calls or does something that a file of tensors does not, or it is damaged.
    """
    machine = Machine()
    for name, argument in _opcodes(source):
        action = _ACTIONS.get(name)
        if action is None:
            raise Refused(f"uses the pickle opcode {name}, which files of tensors do not need", "unusual pickle")
        machine.steps += 1
        action(machine, argument)
    return machine.finished()


def _opcodes(source: RangeFile) -> Iterator[tuple[str, Any]]:
    start = source.tell()
    count = 0
    # pickletools reports damage by many kinds of exception; the loop's body must not be taken for it.
    opcodes = pickletools.genops(cast("IO[bytes]", source))  # it calls read, readline and tell only
    while True:
        try:
            opcode, argument, _ = next(opcodes)
        except StopIteration:
            return
        except (Refused, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - see above: struct, Unicode, Value, Key and other errors
            raise Refused("has a pickle that is damaged or ends early") from None
        count += 1
        if count == 1 and opcode.name != "PROTO":
            raise Refused("does not begin like a pickle that torch writes")
        if count > MAX_OPCODES or source.tell() - start > MAX_PICKLE:
            raise Refused("has a pickle that is larger than this registry reads", "oversized pickle")
        yield opcode.name, argument


def _protocol(machine: Machine, version: int) -> None:
    if version not in (2, 3, 4, 5) or machine.steps != 1:
        raise Refused(f"has a pickle of protocol {version}, or more than one in one", "unusual pickle")


def _text(machine: Machine, text: str) -> None:
    machine.push(text if len(text) <= MAX_TEXT else VALUE)


def _integer(machine: Machine, number: int) -> None:
    machine.push(number if type(number) is int and number.bit_length() <= 128 else VALUE)


def _name(machine: Machine, argument: str) -> None:
    # pickletools joins module and name with a space; a name with a space of its own is in no list.
    module, _, name = argument.partition(" ")
    _allowed(machine, module, name)


def _name_from_stack(machine: Machine, _argument: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Refused("computes the name of something to import, as no file of tensors does", "unsafe pickle")
    _allowed(machine, module, name)


def _allowed(machine: Machine, module: str, name: str) -> None:
    whole = f"{module}.{name}"
    # A dot in the name walks through attributes: the list names modules and what stands directly in them.
    if whole not in NAMEABLE or "." in name:
        raise Refused(f"names '{whole[:120]}', which is not needed for tensors and may run code", "unsafe pickle")
    machine.push(Global(whole))


def _call(machine: Machine, _argument: Any) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, Global) or function.name not in CALLABLE or not isinstance(arguments, tuple):
        raise Refused("calls something that is not a function for tensors", "unsafe pickle")
    if function.name == CALLS_ITS_ARGUMENT and not _rebuilds(arguments):
        raise Refused("calls something that is not a function for tensors", "unsafe pickle")
    machine.push(TENSOR if function.name in REBUILDERS else OBJECT)


def _rebuilds(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments) and isinstance(arguments[0], Global) and arguments[0].name in REBUILDERS


def _call_with_keywords(machine: Machine, argument: Any) -> None:
    machine.pop()
    _call(machine, argument)


def _set_state(machine: Machine, _argument: Any) -> None:
    machine.pop()
    # State set on a *class* would change it for the whole process that loads the file.
    if machine.top() not in (OBJECT, TENSOR):
        raise Refused("sets the state of something that is no tensor", "unsafe pickle")


def _storage(machine: Machine, _argument: Any) -> None:
    """A persistent id: ``('storage', type, key, location, count)``, and a sixth entry in old files."""
    identity = machine.pop()
    match identity:
        case ("storage", Global(type_name), str(key), _, int(count), *_) if type_name in STORAGES and count >= 0:
            storage = Storage(type_name, key, count)
        case _:
            raise Refused("refers to something outside that is no tensor's storage", "unsafe pickle")
    known = machine.walked.storages.setdefault(key, storage)
    if known.size() != storage.size():
        raise Refused("describes one storage in two ways")
    machine.push(VALUE)


def _append(machine: Machine, _argument: Any) -> None:
    _extend_with(machine, [machine.pop()])


def _extend(machine: Machine, _argument: Any) -> None:
    _extend_with(machine, machine.pop_to_mark())


def _extend_with(machine: Machine, items: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, list):
        target.extend(items)
    elif target not in (VALUE, OBJECT):
        raise Refused("adds to something that is no collection", "unsafe pickle")


def _set_item(machine: Machine, _argument: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items_to(machine, [key, value])


def _set_items(machine: Machine, _argument: Any) -> None:
    _set_items_to(machine, machine.pop_to_mark())


def _set_items_to(machine: Machine, items: list[Any]) -> None:
    if len(items) % 2 or machine.top() not in (VALUE, OBJECT):
        raise Refused("sets entries of something that is no collection", "unsafe pickle")
    names = machine.walked.names
    for key, value in zip(items[::2], items[1::2], strict=True):
        if value is TENSOR and isinstance(key, str) and len(names) < MAX_NAMES:
            names.append(key)


def _tuple_of(size: int) -> Callable[[Machine, Any], None]:
    def make(machine: Machine, _argument: Any) -> None:
        items = [machine.pop() for _ in range(size)]
        machine.push(tuple(reversed(items)))

    return make


def _get(machine: Machine, place: int) -> None:
    if place not in machine.memo:
        raise Refused("has a pickle that remembers what it never met")
    machine.push(machine.memo[place])


def _put(machine: Machine, place: int) -> None:
    # Python's unpickler allocates a memo as long as its largest place: a place of 2^31 is an attack on memory.
    if not 0 <= place <= machine.steps:
        raise Refused("has a pickle that asks for an absurd amount of memory", "unsafe pickle")
    machine.memo[place] = machine.top()


def _drop(machine: Machine, _argument: Any) -> None:
    if machine.stack and machine.stack[-1] is MARK:
        machine.stack.pop()
    else:
        machine.pop()


def _drop_to_mark(machine: Machine, _argument: Any) -> None:
    machine.pop_to_mark()


def _shadow(machine: Machine, _argument: Any) -> None:
    machine.push(VALUE)


def _nothing(machine: Machine, _argument: Any) -> None:
    pass


_ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": _protocol,
    "FRAME": _nothing,
    "STOP": _nothing,
    "MARK": lambda machine, _: machine.push(MARK),
    "POP": _drop,
    "POP_MARK": _drop_to_mark,
    "GLOBAL": _name,
    "STACK_GLOBAL": _name_from_stack,
    "REDUCE": _call,
    "NEWOBJ": _call,
    "NEWOBJ_EX": _call_with_keywords,
    "BUILD": _set_state,
    "BINPERSID": _storage,
    "APPEND": _append,
    "APPENDS": _extend,
    "ADDITEMS": _extend,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "EMPTY_TUPLE": _tuple_of(0),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "MEMOIZE": lambda machine, _: _put(machine, len(machine.memo)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"), _text),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4"), _integer),
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "EMPTY_DICT", "EMPTY_SET"), _shadow),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _shadow),
}
