"""Parsing links: Hugging Face, Civitai, AIR names, and direct addresses. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

import httpx2

from modelyard.server.outbound.errors import AddressRefused
from modelyard.server.outbound.policy import parse_url

HUGGINGFACE_URL, CIVITAI_URL = "https://huggingface.co", "https://civitai.com"
_HUGGINGFACE_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_CIVITAI_DOMAINS = ("civitai.com", "civitai.red", "civitai.green")
_FILE_VIEWS, _FOLDER_VIEW = frozenset({"blob", "resolve", "raw"}), "tree"
_OTHER_REPOSITORIES = frozenset({"datasets", "spaces", "buckets", "collections", "papers", "docs", "api", "posts"})
# sources.md section 1: ASCII, no `--`, `..`, `-` or `.` at either end.
_id_part = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_air = re.compile(
    r"(?:urn:)?(?:air:)?(?:[\w.-]+:){0,2}(?P<source>civitai|huggingface):(?P<id>[\w./-]+?)"
    r"(?:@(?P<version>[\w.-]+))?(?:\+(?P<file>\d+))?(?:\.(?P<format>[a-z]\w*))?",
    re.IGNORECASE | re.ASCII,
)
_model_page = re.compile(r"/(?:api/v1/)?models/(\d+)(?:/.*)?")
_version_page = re.compile(r"/(?:api/v1/)?model-versions/(\d+)(?:/.*)?")
_download = re.compile(r"/api/download/models/(\d+)/?")
_number = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True)
class Endpoints:
    """The addresses of Hugging Face and Civitai, or of the operator's mirrors of them."""

    huggingface: str = HUGGINGFACE_URL
    civitai: str = CIVITAI_URL


@dataclass(frozen=True)
class HuggingFaceLink:
    """A repository at a revision; ``path`` is a file or a folder in it, or empty."""

    repository: str
    revision: str = "main"
    path: str = ""
    is_folder: bool = True


@dataclass(frozen=True)
class CivitaiLink:
    """A model or a version, and a file of it; at least one of model and version is set."""

    model_id: int | None = None
    version_id: int | None = None
    file_id: int | None = None


@dataclass(frozen=True)
class DirectLink:
    """The address of a file."""

    url: str


Link = HuggingFaceLink | CivitaiLink | DirectLink


def parse_link(text: str, endpoints: Endpoints) -> Link:
    """Return what a link means.

    Raises:
        AddressRefused: it is no address, or an address at Hugging Face or Civitai that is no model.
    """
    if text.lower().startswith("hf://"):
        return _parse_hf_uri(text[5:])
    if (air := _air.fullmatch(text)) is not None:
        return _parse_air(air)
    url = parse_url(text)
    if not url.host:
        raise AddressRefused(f"'{text[:100]}' is no address. Use a link that begins with https://, or an AIR name.")
    if url.host in _HUGGINGFACE_HOSTS or _has_origin_of(url, endpoints.huggingface):
        return _parse_huggingface(url)
    is_civitai = any(url.host == name or url.host.endswith(f".{name}") for name in _CIVITAI_DOMAINS)
    if is_civitai or _has_origin_of(url, endpoints.civitai):
        return _parse_civitai(url)
    return DirectLink(text)


def _has_origin_of(url: httpx2.URL, endpoint: str) -> bool:
    """Return whether a URL has the host and port of an endpoint."""
    other = httpx2.URL(endpoint)
    return (url.host, url.port) == (other.host, other.port)


def _parse_huggingface(url: httpx2.URL) -> HuggingFaceLink:
    """Parse an address at Hugging Face; its segments are decoded one by one, so a revision may have a slash."""
    segments = [unquote(each) for each in url.raw_path.split(b"?")[0].decode("ascii").strip("/").split("/")]
    views = {*_FILE_VIEWS, _FOLDER_VIEW}
    if segments[0] in _OTHER_REPOSITORIES or not segments[0]:
        raise AddressRefused("This page of Hugging Face is no model. Use the address of a model, or of a file of it.")
    length = 1 if len(segments) == 1 or segments[1] in views else 2
    repository, rest = "/".join(segments[:length]), segments[length:]
    if not rest or rest[0] not in views or len(rest) < 2:
        return _build_huggingface(repository, "main", "", is_folder=True)
    return _build_huggingface(repository, rest[1], "/".join(rest[2:]), is_folder=rest[0] == _FOLDER_VIEW)


def _parse_hf_uri(text: str) -> HuggingFaceLink:
    """Parse the rest of ``hf://[models/]namespace/name[@revision]/path``."""
    segments = text.removeprefix("models/").strip("/").split("/")
    if segments[0] in _OTHER_REPOSITORIES or len(segments) < 2:
        raise AddressRefused("Only models of Hugging Face can be imported: hf://namespace/name/path.")
    name, _, revision = segments[1].partition("@")
    path = "/".join(segments[2:])
    return _build_huggingface(f"{segments[0]}/{name}", unquote(revision) or "main", path, is_folder=not path)


def _build_huggingface(repository: str, revision: str, path: str, *, is_folder: bool) -> HuggingFaceLink:
    """Build a link to a repository; raises ``AddressRefused`` for ids and paths that Hugging Face does not have."""
    path = path.strip("/")
    is_path_odd = any(part in ("", ".", "..") for part in path.split("/")) if path else False
    if not all(_id_part.fullmatch(part) for part in repository.split("/")) or is_path_odd or not revision.strip("./"):
        raise AddressRefused("This is not the address of a model at Hugging Face.")
    if not is_folder and not path:
        raise AddressRefused("The address names no file.")
    return HuggingFaceLink(repository, revision, path, is_folder)


def _parse_civitai(url: httpx2.URL) -> CivitaiLink:
    """Parse the address of a model, a version, or a download at Civitai."""
    file_id = _parse_number(url.params.get("fileId"))
    if found := _model_page.fullmatch(url.path):
        return CivitaiLink(int(found[1]), _parse_number(url.params.get("modelVersionId")), file_id)
    if found := _version_page.fullmatch(url.path) or _download.fullmatch(url.path):
        return CivitaiLink(version_id=int(found[1]), file_id=file_id)
    raise AddressRefused("This page of Civitai is no model. Use the address of a model or of a version.")


def _parse_air(air: re.Match[str]) -> Link:
    """Parse an AIR name: ``urn:air:ecosystem:type:source:id@version+file.format``."""
    if air["source"].lower() == "huggingface":
        return _build_huggingface(air["id"], air["version"] or "main", "", is_folder=True)
    model_id, version_id = _parse_number(air["id"]), _parse_number(air["version"])
    if model_id is None or (air["version"] and version_id is None):
        raise AddressRefused("This AIR name has no number of a model at Civitai.")
    return CivitaiLink(model_id, version_id, _parse_number(air["file"]))


def _parse_number(text: str | None) -> int | None:
    """Return the number of a text of digits; None for any other."""
    return int(text) if text and _number.fullmatch(text) else None
