"""The desired state of a machine or folder, requested from the registry: a team's list, or a machine's manifest."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace

from modelyard.client.api.models import list_all_models
from modelyard.client.api.registry import RegistryApi
from modelyard.sync.desired import DesiredState, FolderFiles, RejectedEntry, build_desired_state, build_waiting_entry
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.problems import AgentUnknown

# Returns the files of the folders among the entries, see ``FolderSources.load_lists``.
LoadFolderFiles = Callable[[Iterable[ManifestEntry]], Awaitable[FolderFiles]]


async def get_team_desired_state(
    registry: RegistryApi, labels: Collection[str], load_folder_files: LoadFolderFiles
) -> DesiredState:
    """Return what a machine with these labels should hold: the team's active models that require no other label."""
    models = list_all_models(registry, ModelFilter(model_status="active"))
    found = [model async for model in models if set(model.required_labels) <= set(labels)]
    return await _build_from_models(found, load_folder_files)


async def get_machine_desired_state(
    registry: RegistryApi, agent_id: str, labels: Collection[str], load_folder_files: LoadFolderFiles
) -> DesiredState:
    """Return what the machine with this agent id should hold according to its manifest.

    An agent that the registry does not know yet is registered by a heartbeat with ``labels`` first; they have no other
    use.
    """
    try:
        answer = await registry.get_manifest(agent_id)
    except AgentUnknown:
        await registry.send_heartbeat(Heartbeat(agent_id=agent_id, agent_labels=list(labels), places_folders=True))
        answer = await registry.get_manifest(agent_id)
    if answer is None:
        return DesiredState()
    files = await load_folder_files(answer.manifest.model_list)
    return build_desired_state(answer.manifest.model_list, answer.manifest.unreadable, files)


async def _build_from_models(models: Iterable[Model], load_folder_files: LoadFolderFiles) -> DesiredState:
    """Build the desired state from models, as a machine's manifest has them.

    Damaged ones are kept but not downloaded, those that are not verified yet wait, and refused ones are left out.
    """
    entries: list[ManifestEntry] = []
    unverified: list[RejectedEntry] = []
    refused: list[str] = []
    for model in models:
        if model.verification == "pending":
            reason = model.verification_error or "The registry has not verified it yet. Try again in a minute."
            unverified.append(build_waiting_entry(_to_manifest_entry(model), reason))
        elif model.verification == "failed" and not model.is_damaged:
            refused.append(model.model_path.removeprefix("models/"))
        else:
            entries.append(_to_manifest_entry(model))
    desired = build_desired_state(entries, folder_files=await load_folder_files(entries))
    return replace(desired, rejected=(*desired.rejected, *unverified), refused_paths=tuple(sorted(refused)))


def _to_manifest_entry(model: Model) -> ManifestEntry:
    """Return a model as a manifest entry; a damaged one is not downloaded, but local files with its content stay."""
    return ManifestEntry(
        id=model.id,
        version=model.version,
        model_path=model.model_path,
        model_type=model.model_type,
        file_size=model.file_size,
        file_hash=model.file_hash,
        blake3_hash=model.blake3_hash,
        updated_at=model.updated_at,
        keep=model.is_damaged,
        is_folder=model.is_folder,
    )
