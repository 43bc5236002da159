"""What stands for values while a pickle is followed: shadows on a stack, and a memo of them."""

from dataclasses import dataclass, field
from typing import Any

from .allowed import STORAGES
from .ranges import Refused


@dataclass(frozen=True, eq=False)
class Shadow:
    """A value of which nothing matters but its kind."""

    kind: str


@dataclass(frozen=True)
class Global:
    """``module.name``, and allowed."""

    name: str


@dataclass(frozen=True)
class Storage:
    """The raw bytes of a tensor, kept outside of the pickle under ``key``."""

    type_name: str
    key: str
    count: int

    def dtype(self) -> str:
        return STORAGES[self.type_name][0]

    def size(self) -> int:
        return self.count * STORAGES[self.type_name][1]


VALUE, OBJECT, TENSOR, MARK = Shadow("value"), Shadow("object"), Shadow("tensor"), Shadow("mark")


@dataclass
class Walked:
    """What one pickle held: its value as far as the machine knows it, its storages, its tensors' names."""

    value: Any = VALUE
    storages: dict[str, Storage] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class Machine:
    """The stack and the memo of an unpickler, holding shadows."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.walked = Walked()
        self.steps = 0

    def finished(self) -> Walked:
        if len(self.stack) != 1 or self.stack[0] is MARK:
            raise Refused("has a pickle that does not end with one value")
        self.walked.value = self.stack[0]
        return self.walked

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise Refused("has a pickle whose stack runs empty")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise Refused("has a pickle whose stack runs empty")
