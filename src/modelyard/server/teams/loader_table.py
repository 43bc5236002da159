"""A team's own table of custom nodes that load models: checks of a change to it, and what the audit trail says."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.comfyui.workflows.loaders import get_default_loaders
from modelyard.wire import problems
from modelyard.wire.teams import TeamUpdate

# Entries that an audit event names; its ``loader_list`` is the number of all.
_MAX_NAMED = 50
# An entry as stored: the fields of ``LoaderInput``.
_Entries = Sequence[Mapping[str, Any]]


def check_loader_table(present: _Entries, change: TeamUpdate) -> None:
    """Check a request that may change the table, which has the entries ``present``. Pure.

    Entries that are present are not refused, since a newer release may know their nodes.

    Raises:
        LoadersChanged: the table is not the one that the caller has read.
        InvalidRequest: the registry's own tables have a new node, so that the entry would have no effect.
    """
    known = {_name_entry(each) for each in present}
    if "expected_loader_list" in change.model_fields_set:
        expected = {_name_entry(each.model_dump()) for each in change.expected_loader_list or ()}
        if expected != known:
            raise problems.LoadersChanged("The team's table of loaders has changed since you read it. Read it again.")
    for number, each in enumerate(change.loader_list or ()):
        is_new = _name_entry(each.model_dump()) not in known
        if is_new and get_default_loaders().find(each.node_type) is not None:
            raise problems.InvalidRequest.for_field(
                f"loader_list.{number}.node_type", f"The registry knows the inputs of '{each.node_type}' already"
            )


def describe_change(before: _Entries, after: _Entries) -> dict[str, Any]:
    """Return the facts of an audit event: the number of entries, and those that were added and removed. Pure."""
    old, new = ({_name_entry(each) for each in entries} for entries in (before, after))
    changed = {"loaders_added": new - old, "loaders_removed": old - new}
    named = {name: sorted(entries)[:_MAX_NAMED] for name, entries in changed.items() if entries}
    return {"loader_list": len(after), **named}


def _name_entry(entry: Mapping[str, Any]) -> str:
    """Return an entry in a line, which is different for different entries: names have no line breaks."""
    return f"{entry['input']} of {entry['node_type']} in {entry['folder']}"
