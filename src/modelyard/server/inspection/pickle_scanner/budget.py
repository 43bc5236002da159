"""The budget of one scan, shared by all pickles of the file, since a file can have many."""

from dataclasses import dataclass

from .ranges import Refused
from .values import MAX_UNCOMMON_KEYS, Value, has_safe_hash, is_hashable

MAX_PICKLE = 32 * 1024 * 1024
MAX_STEPS = 2_000_000
MAX_NAMES = 20_000


@dataclass
class Budget:
    """The rest of a scan's budget: opcodes and copied values, bytes created by calls, keys with weak hashes."""

    steps: int = MAX_STEPS
    created_bytes: int = MAX_PICKLE
    uncommon_keys: int = MAX_UNCOMMON_KEYS

    def spend(self, steps: int, created_bytes: int = 0) -> None:
        """Subtract steps, and the bytes that a call would create.

        Raises:
            Refused: the budget is exhausted.
        """
        self.steps -= steps
        self.created_bytes -= created_bytes
        if self.steps < 0 or self.created_bytes < 0:
            raise Refused("has a pickle that is larger than this registry reads", "oversized pickle")

    def check_keys(self, keys: list[Value]) -> None:
        """Check that the values can be keys of a dictionary or members of a set, and count those with weak hashes.

        Raises:
            Refused: a key is not hashable, or the file has more than ``MAX_UNCOMMON_KEYS`` that are neither texts nor
                numbers, over all calls.
        """
        for key in keys:
            if has_safe_hash(key) and is_hashable(key):
                continue
            self.uncommon_keys -= 1
            if self.uncommon_keys < 0 or not is_hashable(key):
                raise Refused("has dictionary keys or set members that torch cannot load safely", "malformed pickle")
