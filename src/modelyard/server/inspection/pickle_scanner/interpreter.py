"""Abstract interpretation of a pickle: opcodes act on stand-ins for what torch would build; nothing is executed.

A name is accepted only if it is on the allow-list, spelled exactly; every opcode, call and state that ``opcodes``,
``calls`` and ``tensors`` do not list is refused.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field

from .allowed import MODULE_NAMES, UNSUPPORTED
from .budget import MAX_NAMES, MAX_PICKLE, Budget
from .calls import NAMEABLE, call, set_state
from .opcodes import read_opcodes
from .ranges import RangeFile, Refused
from .tensors import read_storage
from .values import EMPTY_TUPLE, Global, Mapping, Sequence, Storage, Tensor, Value, build_sequence


@dataclass
class PickleContents:
    """The content of one pickle: its value, storages by key, tensor names, and the bytes that its tensors claim."""

    value: Value = None
    storages: dict[str, Storage] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    claimed_bytes: int = 0


def interpret(source: RangeFile, budget: Budget, *, is_legacy: bool = False) -> PickleContents:
    """Interpret one pickle from the position of ``source`` up to its STOP opcode; ``source`` then stands after it.

    ``is_legacy`` selects the storage ids of torch before 1.6.

    Raises:
        Refused: the pickle names, calls or does something that a file of tensors does not need, or is damaged or too
            large.
    """
    machine = PickleMachine(budget, is_legacy)
    start = source.tell()
    for code, argument in read_opcodes(source):
        budget.spend(1)
        if source.tell() - start > MAX_PICKLE:
            raise Refused("has a pickle that is larger than this registry reads", "oversized pickle")
        machine.steps += 1
        if machine.steps == 1 and code != pickle.PROTO[0]:
            raise Refused("does not start like a pickle that torch writes")
        _ACTIONS[code](machine, argument)
    return machine.finish()


class _Mark:
    """The type of ``MARK``, which marks on the stack where a tuple or a run of items begins."""


MARK = _Mark()


class PickleMachine:
    """The stack and the memo of an unpickler, with abstract values."""

    def __init__(self, budget: Budget, is_legacy: bool) -> None:
        self.budget = budget
        self.is_legacy = is_legacy
        self.stack: list[Value] = []
        self.memo: dict[int, Value] = {}
        self.contents = PickleContents()
        self.steps = 0

    def finish(self) -> PickleContents:
        """Set the one value on the stack as that of the contents, and return them.

        Raises:
            Refused: the stack does not have exactly one value.
        """
        if len(self.stack) != 1 or self.stack[0] is MARK:
            raise Refused("has a pickle that does not end with one value")
        self.contents.value = self.stack[0]
        return self.contents

    def pop(self) -> Value:
        """Pop the top value.

        Raises:
            Refused: the stack is empty or a mark is on top.
        """
        if not self.stack or self.stack[-1] is MARK:
            raise Refused("has a pickle whose stack runs empty")
        return self.stack.pop()

    def peek(self) -> Value:
        """Return the top value without popping it; raises what ``pop`` raises."""
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_to_mark(self) -> list[Value]:
        """Pop all values above the last mark, and the mark; return them in order.

        Raises:
            Refused: there is no mark.
        """
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise Refused("has a pickle whose stack runs empty")


def _check_protocol(machine: PickleMachine, version: Value) -> None:
    """Check the PROTO opcode: first in the pickle, protocol 2 or 3.

    Raises:
        Refused: it is not.
    """
    if machine.steps != 1:
        raise Refused("has a pickle in a pickle", "unusual pickle")
    if version not in (2, 3):
        raise Refused(
            f"was saved with pickle protocol {version}, which torch.load(weights_only=True) does not read; save it "
            "again with torch's own default, protocol 2",
            "unusual pickle",
        )


def _push(machine: PickleMachine, value: Value) -> None:
    """Push the argument of an opcode."""
    machine.stack.append(value)


def _push_global(machine: PickleMachine, argument: Value) -> None:
    """Push a global by module and name.

    Raises:
        Refused: it is not on the allow-list.
    """
    match argument:
        case (str(module), str(name)):
            global_name = f"{MODULE_NAMES.get(module, module)}.{name}"
            # A dot in the name would walk through attributes: the list has modules and their direct members only.
            if global_name in NAMEABLE and "." not in name:
                machine.stack.append(Global(global_name))
                return
            if global_name in UNSUPPORTED:
                raise Refused(f"holds {UNSUPPORTED[global_name]}", "unsupported value")
            raise Refused(
                f"names '{global_name[:120]}', which is not needed for tensors and may run code", "unsafe pickle"
            )


def _reduce(machine: PickleMachine, _argument: Value) -> None:
    """Replace arguments and function on the stack by the abstract result of the call; see ``calls.call``.

    Nothing is called. The bytes that a tensor claims are counted.
    """
    arguments, function = machine.pop(), machine.pop()
    result = call(function, arguments, machine.budget)
    if isinstance(result, Tensor):
        machine.contents.claimed_bytes += result.size
    machine.stack.append(result)


def _set_state(machine: PickleMachine, _argument: Value) -> None:
    """Pop a state and check that the value below it, which stays, may have it; see ``calls.set_state``."""
    state = machine.pop()
    set_state(machine.peek(), state)


def _push_storage(machine: PickleMachine, _argument: Value) -> None:
    """Replace a persistent id by its storage, the same one for the same key.

    Raises:
        Refused: it is not a storage, or the same key was used with another dtype or count.
    """
    storage = read_storage(machine.pop(), is_legacy=machine.is_legacy)
    first_use = machine.contents.storages.setdefault(storage.key, storage)
    if (first_use.dtype, first_use.count) != (storage.dtype, storage.count):
        raise Refused("describes one storage in two ways", "malformed pickle")
    machine.stack.append(first_use)


def _append_item(machine: PickleMachine, _argument: Value) -> None:
    """Append the top value to the list below it."""
    _extend_list(machine, [machine.pop()])


def _append_items(machine: PickleMachine, _argument: Value) -> None:
    """Append the values above the last mark to the list below it."""
    _extend_list(machine, machine.pop_to_mark())


def _extend_list(machine: PickleMachine, items: list[Value]) -> None:
    """Append items to the list on top of the stack.

    Raises:
        Refused: it is not a list, or cannot change any more.
    """
    target = machine.peek()
    if not isinstance(target, Sequence) or target.kind != "list":
        raise Refused("adds to something that is not a list", "unsafe pickle")
    target.extend(items)


def _set_item(machine: PickleMachine, _argument: Value) -> None:
    """Set one entry of the mapping below its key and value."""
    value, key = machine.pop(), machine.pop()
    _update_mapping(machine, [key, value])


def _set_items(machine: PickleMachine, _argument: Value) -> None:
    """Set the entries above the last mark in the mapping below it."""
    _update_mapping(machine, machine.pop_to_mark())


def _update_mapping(machine: PickleMachine, items: list[Value]) -> None:
    """Add keys and values in turn to the mapping on top of the stack.

    Text keys of tensors are noted as tensor names, the first ``MAX_NAMES`` of the pickle.

    Raises:
        Refused: it is not a mapping or cannot change any more, the number of items is odd, or a key is not allowed.
    """
    target = machine.peek()
    if len(items) % 2 or not isinstance(target, Mapping):
        raise Refused("sets entries of something that is not a dictionary", "unsafe pickle")
    machine.budget.check_keys(items[::2])
    entries = list(zip(items[::2], items[1::2], strict=True))
    target.update(entries)
    names = machine.contents.names
    for key, value in entries:
        if isinstance(value, Tensor) and isinstance(key, str) and len(names) < MAX_NAMES:
            names.append(key)


def _build_tuple_action(size: int) -> Callable[[PickleMachine, Value], None]:
    """Return the action that replaces the top ``size`` values by a tuple."""

    def push_tuple(machine: PickleMachine, _argument: Value) -> None:
        """Replace the values by a tuple."""
        items = [machine.pop() for _ in range(size)]
        machine.stack.append(build_sequence("tuple", items[::-1]))

    return push_tuple


def _push_tuple(machine: PickleMachine, _argument: Value) -> None:
    """Replace the values above the last mark, and the mark, by a tuple."""
    machine.stack.append(build_sequence("tuple", machine.pop_to_mark()))


def _push_from_memo(machine: PickleMachine, index: Value) -> None:
    """Push a value of the memo.

    Raises:
        Refused: nothing was stored there.
    """
    if not isinstance(index, int) or index not in machine.memo:
        raise Refused("has a pickle that reads a memo entry that it never stored")
    machine.stack.append(machine.memo[index])


def _store_in_memo(machine: PickleMachine, index: Value) -> None:
    """Store the top value in the memo, and leave it on the stack.

    Raises:
        Refused: the index is larger than the number of opcodes so far, or there is no value.
    """
    # Python's unpickler allocates a memo as long as its largest index: an index of 2^31 would exhaust the memory.
    if not isinstance(index, int) or index > machine.steps:
        raise Refused("has a pickle that would allocate too much memory", "unsafe pickle")
    machine.memo[index] = machine.peek()


_ACTIONS: dict[int, Callable[[PickleMachine, Value], None]] = {
    code[0]: action
    for codes, action in (
        ((pickle.PROTO,), _check_protocol),
        ((pickle.STOP,), lambda _machine, _argument: None),
        ((pickle.MARK,), lambda machine, _argument: machine.stack.append(MARK)),
        ((pickle.GLOBAL,), _push_global),
        ((pickle.REDUCE,), _reduce),
        ((pickle.BUILD,), _set_state),
        ((pickle.BINPERSID,), _push_storage),
        ((pickle.APPEND,), _append_item),
        ((pickle.APPENDS,), _append_items),
        ((pickle.SETITEM,), _set_item),
        ((pickle.SETITEMS,), _set_items),
        ((pickle.EMPTY_LIST,), lambda machine, _argument: machine.stack.append(Sequence(kind="list"))),
        ((pickle.EMPTY_DICT,), lambda machine, _argument: machine.stack.append(Mapping())),
        ((pickle.EMPTY_TUPLE,), lambda machine, _argument: machine.stack.append(EMPTY_TUPLE)),
        ((pickle.TUPLE1,), _build_tuple_action(1)),
        ((pickle.TUPLE2,), _build_tuple_action(2)),
        ((pickle.TUPLE3,), _build_tuple_action(3)),
        ((pickle.TUPLE,), _push_tuple),
        ((pickle.BINGET, pickle.LONG_BINGET), _push_from_memo),
        ((pickle.BINPUT, pickle.LONG_BINPUT), _store_in_memo),
        ((pickle.NONE,), _push),
        ((pickle.NEWTRUE,), lambda machine, _argument: machine.stack.append(True)),
        ((pickle.NEWFALSE,), lambda machine, _argument: machine.stack.append(False)),
        ((pickle.BINUNICODE, pickle.SHORT_BINSTRING), _push),
        ((pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT), _push),
    )
    for code in codes
}
