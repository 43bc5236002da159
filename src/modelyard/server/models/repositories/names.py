"""The names of the repositories that models have, as ``team/<name>``, and the models of names. Pure.

The name is the model's path with ``__`` between its segments: ``loras/ink.safetensors`` is
``team/loras__ink.safetensors``. A path that is no valid name by this rule gets one that ends with the model's id.
"""

import re
from uuid import UUID

from modelyard.wire.paths import build_path_key, get_canonical_type

NAMESPACE = "team"
MAX_NAME = 96
_SEPARATOR = "__"
# One segment of a path that needs no change: names have no `--`, `..`, and no `-` or `.` at their ends.
_plain = re.compile(r"(?!.*(?:--|\.\.|__))[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_unsafe = re.compile(r"(?:[^A-Za-z0-9._]|\.{2,}|_{2,})+")
_with_id = re.compile(rf".*{_SEPARATOR}([0-9a-f]{{32}})")


def build_repository_name(model_path: str, model_id: UUID) -> str:
    """Return the name of a model's repository without the namespace; no two models of a team have the same one."""
    segments = model_path.removeprefix("models/").split("/")
    name = _SEPARATOR.join(segments)
    # Clients refuse names that end with `.git`; a hash as the name of a folder would be read back as an id.
    has_plain_end = not name.endswith(".git") and not _with_id.fullmatch(name)
    if has_plain_end and len(name) <= MAX_NAME and all(_plain.fullmatch(segment) for segment in segments):
        return name
    ending = f"{_SEPARATOR}{model_id.hex}"
    parts = (_unsafe.sub("-", segment).strip("-._") for segment in segments)
    clean = _SEPARATOR.join(part for part in parts if part)[: MAX_NAME - len(ending)].rstrip("-._")
    return f"{clean or 'model'}{ending}"


def parse_repository_name(name: str) -> str | UUID:
    """Return the path key of the model that a repository's name means, or its id."""
    if (found := _with_id.fullmatch(name)) is not None:
        return UUID(hex=found[1])
    model_type, *rest = name.split(_SEPARATOR)
    return build_path_key(get_canonical_type(model_type), "/".join(rest))
