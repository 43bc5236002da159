"""Allowing files that the pickle scan has refused."""

import re
from dataclasses import dataclass

from modelyard.client.api.paging import list_pages
from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import find_model
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.pickles.trusted_files import TrustedFile, VersionFindings

# Models with the content of a hash whose findings are asked for.
_MAX_MODELS = 5
_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True)
class FileToTrust:
    """A file that may be allowed: its hash, and the scan's findings; None if no model has it as its newest version."""

    file_hash: str
    findings: VersionFindings | None
    model_path: str | None


async def find_file_to_trust(registry: RegistryApi, name: str) -> FileToTrust:
    """Return the file with this hash, or that of the newest version of this model.

    Raises:
        ModelNotFound, ModelAmbiguous: see ``find_model``.
    """
    found = _HASH.fullmatch(name)
    if found is None:
        return await _get_newest_file(registry, await find_model(registry, name))
    file_hash = f"sha256:{found[1].lower()}"
    page = await registry.list_models(ModelFilter(q=file_hash))
    files = [await _get_newest_file(registry, model) for model in page.model_list[:_MAX_MODELS]]
    return next((each for each in files if each.file_hash == file_hash), FileToTrust(file_hash, None, None))


async def _get_newest_file(registry: RegistryApi, model: Model) -> FileToTrust:
    """Return the file of the newest version of a model, with the scan's findings."""
    number = model.pending_version.version if model.pending_version else model.version
    findings = await registry.get_version_findings(model.id, number)
    return FileToTrust(findings.file_hash, findings, model.model_path)


async def list_all_trusted_files(registry: RegistryApi) -> list[TrustedFile]:
    """Return the trusted files of the team, newest first."""
    return [each async for page in list_pages(registry.list_trusted_files) for each in page.trusted_file_list]


async def find_trusted_file(registry: RegistryApi, name: str) -> TrustedFile:
    """Return the trusted file with this hash, or whose hash is that of the newest version of this model.

    Raises:
        TrustedFileNotFound: it is not trusted.
        ModelNotFound, ModelAmbiguous: see ``find_model``.
    """
    return await registry.get_trusted_file((await find_file_to_trust(registry, name)).file_hash)
