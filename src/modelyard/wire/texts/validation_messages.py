"""Messages about values that are not valid, in plain words instead of those of the validator."""

import re
from collections.abc import Mapping

_PATTERN = re.compile(r"String should match pattern '(.*)'", re.DOTALL)
_OTHER_PATTERN = "Use visible characters on one line"
# How pydantic begins its messages, and what people read instead. The first that fits counts.
_REWORDED = (
    (r"Value error, ", ""),
    (r"Input should be (greater|less)", r"Use a number \1"),
    (r"Input should be a valid integer.*", "Use a whole number"),
    (r"Input should be a valid (number|decimal).*", "Use a number"),
    (r"Input should be a valid string.*", "Use a text"),
    (r"Input should be a valid UUID.*", "Use a whole id"),
    (r"Input should be a valid (date|datetime|time)\b.*", "Use a time such as 2026-11-24T12:00:00Z"),
    (r"Input should have timezone info", "Add the time zone, such as Z"),
    (r"Input should be a valid boolean.*", "Use true or false"),
    (r"Input should be a valid (list|tuple|set|array).*", "Use a list"),
    (r"Input should be ", "Use "),
    (r"String should have at ", "Use at "),
    (r"(?:List|Tuple|Set|Dictionary) should have at (least|most) (\d+) items?.*", r"Use at \1 \2 of them"),
    (r"Field required", "This is missing"),
    (r"Extra inputs are not permitted", "There is no such field"),
)


def reword_message(message: str, rule: str = _OTHER_PATTERN, rules: Mapping[str, str] | None = None) -> str:
    """Return a validator's message in plain words, such as ``Use 'active' or 'disabled'``; others as they are.

    Of a text of a wrong form, it is what ``rules`` has for the pattern, or else ``rule``.
    """
    if (pattern := _PATTERN.match(message)) is not None:
        return (rules or {}).get(pattern[1], rule)
    for start, words in _REWORDED:
        if re.match(start, message, re.DOTALL):
            return re.sub(start, words, message, count=1, flags=re.DOTALL)
    return message
