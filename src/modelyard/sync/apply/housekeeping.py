"""Update the journal before the actions of a plan, and clean up once after them; blocking."""

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from modelyard.sync.apply.files.cleanup import clean_work_folder
from modelyard.sync.apply.files.folder_leftovers import KeptFolder
from modelyard.sync.apply.files.placement import Placer
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFileError
from modelyard.sync.planning.actions import Plan


def update_journal(plan: Plan, machine: MachineState, excluded: Collection[Path | str]) -> None:
    """Delete and write a plan's journal rows, except those of ``excluded`` paths; hashes in it have no effect.

    Temporary files that a kill left beside files of unconfirmed or deleted rows are deleted first.

    Raises:
        StateFileError: see ``StateFile``.
    """

    def without_excluded(entries: Iterable[Placement]) -> list[Placement]:
        return [entry for entry in entries if entry.path not in excluded]

    journal = machine.journal
    to_delete, to_write = without_excluded(plan.rows_to_delete), without_excluded(plan.rows_to_write)
    Placer(machine, threading.Event()).delete_leftovers((*without_excluded(journal.list_unconfirmed()), *to_delete))
    if to_delete:
        journal.delete_placements(to_delete)
    if to_write:
        journal.confirm_all(to_write)


def clean_up_after(
    plan: Plan, machine: MachineState, list_used: Callable[[], Collection[Path | str]] = tuple
) -> list[KeptFolder]:
    """Clean the work folders after a plan, flush the hash index, and delete lists of folders that nothing needs.

    In the work folders, expired trash and stale partial files are deleted, and left-over folders become trash. Errors
    are ignored. ``list_used`` returns the hashes that running actions use. Returns the folders there that have files of
    a user in them, and stay.
    """
    cleaned = [clean_work_folder(work, machine, plan.kept_partial_hashes, list_used) for work in plan.work_folders]
    with suppress(StateFileError):
        machine.index.flush()
        # The lists show which files in folders under temporary names are a user's.
        if not plan.has_unread_work_folders and not any(work.may_have_leftovers for work in cleaned):
            machine.journal.folder_lists.prune(plan.kept_partial_hashes)
    return [folder for work in cleaned for folder in work.kept]
