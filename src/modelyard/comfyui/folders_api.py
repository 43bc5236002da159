"""The model folders that a running ComfyUI reports, including those that custom nodes added."""

from collections import Counter
from pathlib import Path

import httpx2
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from modelyard.comfyui.layout import LAYOUT, ComfyUIFoldersUnknown, Install, SearchPathBuilder

_TIMEOUT_SECONDS = 10.0
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024


class _Key(BaseModel):
    """An entry of the response of ``/experiment/models``."""

    model_config = ConfigDict(extra="ignore")

    name: str
    folders: list[str]


_keys = TypeAdapter(list[_Key])


def fetch_install(url: str, models: Path | None = None) -> Install:
    """Fetch the model folders of the ComfyUI at ``url``, for instance ``http://127.0.0.1:8188``.

    ``models`` is the models folder beside its program, if known; see ``parse_install``. Blocking; each step of the
    request times out after 10 seconds. Proxies in the environment are not used.

    Raises:
        ComfyUIFoldersUnknown: nothing responds, or not as ComfyUI does, or with more than 4 MiB.
    """
    try:
        with httpx2.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as http:
            response = http.get(f"{url.rstrip('/')}/experiment/models")
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as failure:
        raise ComfyUIFoldersUnknown(
            f"ComfyUI does not answer at {url}: {str(failure) or type(failure).__name__}."
        ) from failure
    if response.status_code != 200 or len(response.content) > _MAX_RESPONSE_BYTES:
        raise ComfyUIFoldersUnknown(
            f"{url} answered {response.status_code}, not a list of folders. Check that it is ComfyUI 0.3 or later."
        )
    return parse_install(response.content, models)


def parse_install(text: bytes, models: Path | None = None) -> Install:
    """Parse a response of ``/experiment/models``; relative folders and keys without models are skipped.

    ``models`` is the models folder beside its program, if known. It counts if a folder of the response is in it; else,
    as with ``--base-directory``, the models folder is inferred.

    Raises:
        ComfyUIFoldersUnknown: it is not a list of keys and folders.
    """
    try:
        keys = _keys.validate_json(text)
    except ValidationError as failure:
        raise ComfyUIFoldersUnknown(
            "The response is not from ComfyUI: it has no list of models folders. Check the address."
        ) from failure
    search = SearchPathBuilder()
    for key in keys:
        for folder in key.folders:
            path = Path(folder)
            # A relative path depends on the working directory of that process, which is unknown.
            if path.is_absolute() and "\0" not in folder:
                search.add(key.name, path)
    roots = search.roots()
    if models is not None and any(root.path.is_relative_to(models) for root in roots):
        return Install(models, roots)
    return Install(_find_common_parent({root.key: root.path for root in reversed(roots)}) or models, roots)


def _find_common_parent(first_roots: dict[str, Path]) -> Path | None:
    """Return the folder with the first root of most keys of ComfyUI's layout; None if fewer than two agree."""
    parents = Counter(path.parent for key, path in first_roots.items() if path.name in LAYOUT.get(key, ()))
    if not parents:
        return None
    parent, count = parents.most_common(1)[0]
    return parent if count > 1 else None
