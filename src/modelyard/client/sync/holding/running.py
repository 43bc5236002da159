"""The roots of a ComfyUI that runs: only the process itself knows what custom nodes added to them."""

from collections import Counter
from pathlib import Path

import httpx2
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from modelyard.client.sync.holding.roots import LAYOUT, Install, RootsUnknown, Search

_SECONDS = 10.0
_MOST_BYTES = 4 * 1024 * 1024


class _Key(BaseModel):
    """A key of ``/experiment/models``."""

    model_config = ConfigDict(extra="ignore")

    name: str
    folders: list[str]


_keys = TypeAdapter(list[_Key])


def ask_comfyui(url: str, models: Path | None = None) -> Install:
    """The keys and roots of the ComfyUI that answers at ``url``, for instance ``http://127.0.0.1:8188``.

    ``models`` is its models folder, where that is known from elsewhere. Blocking, like all that looks at a disk.

    Raises:
        RootsUnknown: it does not answer, or what answers is no ComfyUI.
    """
    try:
        with httpx2.Client(timeout=_SECONDS, trust_env=False) as http:
            answer = http.get(f"{url.rstrip('/')}/experiment/models")
    except (httpx2.HTTPError, httpx2.InvalidURL) as failure:
        raise RootsUnknown(f"ComfyUI does not answer at {url}: {str(failure) or type(failure).__name__}.") from failure
    if answer.status_code != 200 or len(answer.content) > _MOST_BYTES:
        raise RootsUnknown(f"{url} answers {answer.status_code} when it is asked for its models folders; ComfyUI 0.3?")
    return read_answer(answer.content, models)


def read_answer(text: bytes, models: Path | None = None) -> Install:
    """What ``/experiment/models`` says.

    Raises:
        RootsUnknown: it is no list of keys and folders.
    """
    try:
        keys = _keys.validate_json(text)
    except ValidationError as failure:
        raise RootsUnknown("What answers there is no ComfyUI: it names no models folders.") from failure
    search = Search()
    for key in keys:
        for folder in key.folders:
            path = Path(folder)
            # A relative path is relative to where that process was started, which nobody else knows.
            if path.is_absolute() and "\0" not in folder:
                search.add(key.name, path)
    roots = search.roots()
    return Install(models or _usual_parent({root.key: root.path for root in reversed(roots)}), roots)


def _usual_parent(first_roots: dict[str, Path]) -> Path | None:
    """The folder that most keys of ComfyUI's own layout have their first root in, if it is a `models` folder."""
    parents = Counter(path.parent for key, path in first_roots.items() if path.name in LAYOUT.get(key, ()))
    if not parents:
        return None
    parent, count = parents.most_common(1)[0]
    return parent if count > 1 else None
