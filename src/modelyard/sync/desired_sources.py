"""The desired state of a machine or folder, requested from the registry: a team's list, or a machine's manifest."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from modelyard.client.api.models import list_all_models
from modelyard.client.api.registry import RegistryApi
from modelyard.sync.desired import DesiredState, RejectedEntry, build_desired_state, build_waiting_entry
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.problems import AgentUnknown


async def get_team_desired_state(registry: RegistryApi, labels: Collection[str]) -> DesiredState:
    """Return what a machine with these labels should hold: the team's active models that require no other label.

    Models of many files are left out: only agents place them.
    """
    models = list_all_models(registry, ModelFilter(model_status="active"))
    return _build_from_models([model async for model in models if _is_for(model, labels)])


def _is_for(model: Model, labels: Collection[str]) -> bool:
    """Return whether a machine with these labels should hold a model."""
    return not model.is_folder and set(model.required_labels) <= set(labels)


async def get_machine_desired_state(registry: RegistryApi, agent_id: str, labels: Collection[str]) -> DesiredState:
    """Return what the machine with this agent id should hold according to its manifest.

    An agent that the registry does not know yet is registered by a heartbeat with ``labels`` first; they have no other
    use.
    """
    try:
        answer = await registry.get_manifest(agent_id)
    except AgentUnknown:
        await registry.send_heartbeat(Heartbeat(agent_id=agent_id, agent_labels=list(labels)))
        answer = await registry.get_manifest(agent_id)
    return (
        DesiredState()
        if answer is None
        else build_desired_state(answer.manifest.model_list, answer.manifest.unreadable)
    )


def _build_from_models(models: Iterable[Model]) -> DesiredState:
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
    desired = build_desired_state(entries)
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
    )
