"""YAML and JSON of untrusted origin as plain values, with limits of size, depth and number of values.

Scalars of YAML are not converted: a hash of digits only stays a text, and no tag creates an object.
"""

import json
from itertools import count
from typing import Any

import yaml

from modelyard.comfyui.locks.locked_models import LockInvalid, check_size
from modelyard.comfyui.quoting import printable, quoted

# Of mappings and lists within each other; lock files have six.
MAX_DEPTH = 32
# A locked model has 14.
MAX_VALUES = 300_000
MAX_ALIASES = 100

Value = str | bool | None | list["Value"] | dict[str, "Value"]

# The parser in C is about ten times as fast. It is missing where PyYAML was built without libyaml.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL_TAG = "tag:yaml.org,2002:null"


def parse_document(document: bytes) -> Value:
    """Return the values of a YAML or JSON document; its scalars are texts, null is None.

    Raises:
        LockInvalid: it exceeds a limit, is neither, or has a key twice.
    """
    text = decode_document(document)
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    return build_value(compose_document(text))


def decode_document(document: bytes) -> str:
    """Return the text of a document in UTF-8, without a byte order mark; raises as ``parse_document``."""
    check_size(document)
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LockInvalid("It is not a text in UTF-8.") from None


def compose_document(text: str) -> yaml.Node | None:
    """Return the node graph of a YAML document, None if it is empty; raises as ``parse_document``.

    Aliases make it a graph that can have circles: ``build_value`` limits what they expand to. Depth, values and aliases
    are limited before it is built.
    """
    try:
        _check_events(text)
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        if isinstance(failure, LockInvalid):
            raise
        # The parser's message has several lines, and a name for the text in each.
        reason = " ".join(str(failure).replace('"<unicode string>", ', "").split())
        raise LockInvalid(f"It is not valid YAML: {printable(reason[:300])}.") from None
    return node


def build_value(node: yaml.Node | None) -> Value:
    """Return the value of a node; raises as ``parse_document``."""
    return None if node is None else _build_value(node, 1, count(1))


def _build_value(node: yaml.Node, depth: int, counter: "count[int]") -> Value:
    """Return the value of a node at this depth; ``counter`` counts the values so far.

    Raises:
        LockInvalid: it has too many values or they are too deep, or a mapping has a key that is no text or repeated.
    """
    if depth > MAX_DEPTH or next(counter) > MAX_VALUES:
        raise LockInvalid("It has too many values, or values too deep within each other.")
    if isinstance(node, yaml.SequenceNode):
        return [_build_value(each, depth + 1, counter) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        pairs = [(_get_key(key), _build_value(value, depth + 1, counter)) for key, value in node.value]
        return _build_mapping(pairs)
    return None if node.tag == _NULL_TAG else str(node.value)


def _get_key(node: yaml.Node) -> str:
    """Return the key of a mapping; raise LockInvalid if it is not a scalar."""
    if not isinstance(node, yaml.ScalarNode):
        raise LockInvalid("It has a mapping whose key is not a text.")
    return str(node.value)


def _check_events(text: str) -> None:
    """Check the depth and the number of values and aliases before anything is built; raise LockInvalid."""
    depth = aliases = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH or number > 2 * MAX_VALUES or aliases > MAX_ALIASES:
            raise LockInvalid("It has too many values or aliases, or values too deep within each other.")


def _parse_json(text: str) -> Value:
    """Return the values of a JSON document; raises as ``parse_document``."""
    try:
        value: Value = json.loads(
            text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_build_mapping
        )
    except (ValueError, RecursionError) as failure:
        if isinstance(failure, LockInvalid):
            raise
        raise LockInvalid(f"It is not valid JSON: {failure}.") from None
    return value


def _build_mapping(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    """Return the pairs as a dict; raise LockInvalid if a key is there twice, which readers treat differently."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in mapping if names.count(name) > 1)
        raise LockInvalid(f"The key {quoted(twice[:100])} is there twice in one mapping.")
    return mapping
