"""A model file of a lock, and the checks that a list of them has to pass."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.comfyui.quoting import in_bytes, quoted
from modelyard.wire.paths import ModelPath, ModelPathInvalid, parse_model_path

MAX_LOCK_BYTES = 8 * 1024 * 1024
MAX_LOCKED_MODELS = 10_000

_sha256 = re.compile("[0-9a-f]{64}")


class LockInvalid(ValueError):
    """A lock file cannot be read or rewritten; the text says why."""


@dataclass(frozen=True)
class LockedModel:
    """A model file at a path, with the SHA-256 of its content, or None if the lock has none."""

    path: ModelPath
    sha256: str | None
    url: str | None = None

    @property
    def folder(self) -> str:
        """Return the first folder as the lock writes it: "unet", though the type is "diffusion_models"."""
        return self.path.relative.partition("/")[0]

    @property
    def file_name(self) -> str:
        """Return the last segment of the path."""
        return self.path.relative.rpartition("/")[2]


def parse_locked_path(text: str) -> ModelPath:
    """Return a validated path below the models folder, with or without a leading ``models/``.

    Raises:
        LockInvalid: it could be outside the models folder, or is a name that some machine cannot hold.
    """
    try:
        return parse_model_path(text.removeprefix("models/").partition("/")[0], text)
    except ModelPathInvalid as refused:
        raise LockInvalid(f"The path {quoted(text[:200])} is refused: {refused}") from None


def parse_sha256(text: str, path: ModelPath) -> str:
    """Return the 64 hex digits of a SHA-256, in lower case and without a prefix.

    Raises:
        LockInvalid: it is none.
    """
    digest = text.strip().lower().removeprefix("sha256:")
    if _sha256.fullmatch(digest) is None:
        raise LockInvalid(f"The hash of {quoted(path.relative)} is not a SHA-256: {quoted(text[:100])}.")
    return digest


def sort_models(models: Iterable[LockedModel]) -> tuple[LockedModel, ...]:
    """Return the models by path, each once.

    Raises:
        LockInvalid: two contents have one path, or there are more than ``MAX_LOCKED_MODELS``.
    """
    by_key: dict[str, LockedModel] = {}
    for model in models:
        earlier = by_key.setdefault(model.path.key, model)
        if (earlier.path.relative, earlier.sha256) != (model.path.relative, model.sha256):
            raise LockInvalid(f"There are two contents for one path: {_describe(earlier)}, and {_describe(model)}.")
        if len(by_key) > MAX_LOCKED_MODELS:
            raise LockInvalid(f"It locks more than {MAX_LOCKED_MODELS:,} models.")
    return tuple(sorted(by_key.values(), key=lambda model: model.path.relative))


def check_size(document: bytes) -> None:
    """Check the size of a lock file; raise LockInvalid if it is larger than ``MAX_LOCK_BYTES``."""
    if len(document) > MAX_LOCK_BYTES:
        raise LockInvalid(f"It is larger than {in_bytes(MAX_LOCK_BYTES)}.")


def _describe(model: LockedModel) -> str:
    """Return the path of a model and the first digits of its hash."""
    return f"{quoted(model.path.relative)} with {model.sha256[:12] if model.sha256 else 'no hash'}"
