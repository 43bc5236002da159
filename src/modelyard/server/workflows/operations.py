"""The check of a workflow: load, decide, build the answer."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from modelyard.comfyui.workflows.references import ModelReference
from modelyard.comfyui.workflows.rewriting import Slash, build_replacements
from modelyard.server.teams.context import TeamContext
from modelyard.server.workflows import loading
from modelyard.server.workflows.loaders import add_folders
from modelyard.server.workflows.matching import UNKNOWN, Match, explain_impossible_name, match_reference
from modelyard.server.workflows.readiness import build_unable, decide_readiness, describe_absent_files
from modelyard.wire.workflows import MAX_SUGGESTIONS, MachineReadiness, WorkflowCheck, WorkflowReference

# The workflow's own name loads a file of the team.
_LOADS = ("present", "other_content")

Matches = Mapping[ModelReference, Match]


def check_workflow(session: Session, team: TeamContext, references: Sequence[ModelReference]) -> WorkflowCheck:
    """Return what the team has for each reference, and which machines can run the workflow.

    The folders of nodes that the registry does not know are those of the team's table, or that its machines report.
    Names of other models are suggested for at most ``MAX_SUGGESTIONS`` names that were not found. A machine's key gets
    what the team has, and the readiness of its own machines.
    """
    references = add_folders(session, team.team_id, references)
    matches = _match_all(session, team, references)
    required = {reference: matches[reference] for reference in references if reference.is_required}
    absent = describe_absent_files(
        list(dict.fromkeys(each.name for each, match in required.items() if match.state not in _LOADS))
    )
    return WorkflowCheck(
        reference_list=[_build_reference(each, matches[each]) for each in references],
        machine_list=_decide_for_machines(session, team, required)
        if absent is None
        else [build_unable(agent_id, absent) for agent_id in loading.list_machine_names(session, team)],
    )


def find_team_names(
    session: Session, team: TeamContext, references: Sequence[ModelReference], slash: Slash | None
) -> dict[str, str]:
    """Return the names to replace in the workflow, see ``build_replacements``."""
    references = add_folders(session, team.team_id, references)
    matches = _match_all(session, team, references)
    return build_replacements([_build_reference(each, matches[each]) for each in references], slash)


def _match_all(session: Session, team: TeamContext, references: Sequence[ModelReference]) -> Matches:
    """Return what the team has for each reference."""
    found = loading.load_team_contents(session, team, references)
    matches = {reference: match_reference(reference, found) for reference in references}
    unknown = {_get_name(each): each for each, match in matches.items() if match is UNKNOWN}
    searched = {name: _search(session, team, unknown[name]) for name in list(unknown)[:MAX_SUGGESTIONS]}
    return {
        each: searched.get(_get_name(each), match) if match is UNKNOWN else match for each, match in matches.items()
    }


def _get_name(reference: ModelReference) -> tuple[str | None, str, bool]:
    """Return what a search for other names depends on."""
    return reference.folder, reference.name, reference.is_bare


def _search(session: Session, team: TeamContext, reference: ModelReference) -> Match:
    """Return what the team has for a reference whose folder has no file of its name."""
    if reference.is_bare and (named := loading.find_by_stem(session, team, reference)):
        return Match("present", named)
    content = loading.find_similar(session, team, reference)
    return UNKNOWN if content is None else Match("similar", content, content.name)


def _decide_for_machines(session: Session, team: TeamContext, required: Matches) -> list[MachineReadiness]:
    """Decide for each machine whether it can run a workflow that requires these models, all of which the team has."""
    declared = [match.content for each, match in required.items() if each.hash and match.state == "present"]
    versions = {content.model_id: content.version for content in declared if content}
    contents = [match.content for match in required.values() if match.content]
    needed = loading.load_needed_models(session, contents, versions)
    return [decide_readiness(machine, needed) for machine in loading.load_machines(session, team, needed)]


def _build_reference(reference: ModelReference, match: Match) -> WorkflowReference:
    """Build the API's view of a reference."""
    content = match.content
    return WorkflowReference(
        node_id=reference.node_id,
        node_type=reference.node_type,
        input=reference.input,
        folder=reference.folder,
        name=reference.name,
        hash=reference.hash,
        url=reference.url,
        is_required=reference.is_required,
        state=match.state,
        model_id=content.model_id if content else None,
        version=content.version if content else None,
        suggestion=match.suggestion,
        reason=explain_impossible_name(reference) if match is UNKNOWN else None,
    )
