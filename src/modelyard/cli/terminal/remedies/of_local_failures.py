"""The exit codes and remedies of failures that this machine finds: in files, transfers and the profile.

``{…}`` is filled as in ``of_problems``.
"""

from pydantic import ValidationError

from modelyard.cli.terminal.remedies.exit_codes import (
    BYTES_WRONG,
    NOT_SIGNED_IN,
    OTHER,
    REFUSED,
    UNREACHABLE,
    USAGE,
    Table,
)
from modelyard.client.api.urls import AddressRefused
from modelyard.client.atomic_file import LockHeld
from modelyard.client.collections import ModelNotInCollection
from modelyard.client.locks import LockedModelsMissing
from modelyard.client.profile import AccountRequired, KeyRefused, NoKey, ProfileUnreadable, RegistryUnreachable
from modelyard.client.resolve_models import ModelAmbiguous, ModelInTrash, ModelNotInTrash
from modelyard.client.session import KeyHasTeam
from modelyard.client.transfers.collect import DuplicateModelPath, FolderIsOneModel, NothingToPush
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.client.transfers.pull import FormatDiffers
from modelyard.client.workflow_checks import WorkflowsUnchecked
from modelyard.comfyui.model_locations import NameInvalid, TypeUnknown
from modelyard.transfer import errors as transfer_errors
from modelyard.wire.paths import ModelPathInvalid

_TRANSFERS: Table = {
    transfer_errors.Unreachable: (
        UNREACHABLE,
        ("Check that the registry is running and the address is right. Set another: modelyard login URL {email}",),
    ),
    transfer_errors.RetriesExhausted: (
        UNREACHABLE,
        ("Continue where it stopped: {again}", "Or retry for longer: {again:--give-up-after 1h}"),
    ),
    transfer_errors.BadResponse: (UNREACHABLE, ()),
    transfer_errors.FileListMismatch: (UNREACHABLE, ("Run it again: {again}",)),
    transfer_errors.FileChanged: (OTHER, ("When nothing writes to the file any more, run it again: {again}",)),
    transfer_errors.FileMoved: (OTHER, ()),
    transfer_errors.DiskFull: (OTHER, ("Then continue where it stopped: {again}",)),
    transfer_errors.DigestMismatch: (
        BYTES_WRONG,
        (
            "Run it again: {again}",
            "If that fails too, the file is damaged at the registry or on the way from it. The registry reads its files"
            " again regularly, and shows which versions are damaged: modelyard version ls {typed_model}",
        ),
    ),
    transfer_errors.TargetExists: (REFUSED, ("Replace what is there: {again:--force}",)),
    transfer_errors.OtherFilesInFolder: (REFUSED, ()),
    transfer_errors.TransferFailed: (OTHER, ()),
}
_SELECTION: Table = {
    LockedModelsMissing: (
        REFUSED,
        (
            "List what is missing: modelyard lock --check {typed_lock}",
            "Upload a file with that content: modelyard push FILE",
        ),
    ),
    VersionNotCurrent: (REFUSED, ("Make it the current one: modelyard rollback {model} --to {version}",)),
    ModelNotInCollection: (REFUSED, ("List its models: modelyard collection show {collection_id}",)),
    ModelInTrash: (
        REFUSED,
        (
            "Restore {model}: modelyard restore {model_id}",
            "List these {trash_count}, to restore one by its id: modelyard ls --deleted",
        ),
    ),
    ModelNotInTrash: (REFUSED, ("List the trash: modelyard ls --deleted",)),
    ModelAmbiguous: (REFUSED, ()),
    NameInvalid: (
        USAGE,
        (
            "Use that name, or the option --clean-names for all files: {again:--path {raw[suggestion]}}",
            "Workflows that use the file by its old name have to be changed.",
        ),
    ),
    FormatDiffers: (USAGE, ("Use its extension: {again:--output {raw[suggestion]}}",)),
    TypeUnknown: (USAGE, ()),
    FolderIsOneModel: (
        USAGE,
        (
            "Push it as one, with all its files: {again:{folder_options}}",
            "Or push one file of it by its name: modelyard push FILE",
        ),
    ),
    NothingToPush: (USAGE, ()),
    DuplicateModelPath: (USAGE, ("Push one of them on its own, to another path: modelyard push FILE --path PATH",)),
    ModelPathInvalid: (USAGE, ()),
    AddressRefused: (USAGE, ()),
}
_MACHINE: Table = {
    KeyHasTeam: (REFUSED, ("Leave out --team, and unset MODELYARD_TEAM.",)),
    RegistryUnreachable: (
        UNREACHABLE,
        (
            "Check that the registry is running and the address is right. Set another: modelyard agent pair --url URL",
            "Find other problems: modelyard agent doctor",
        ),
    ),
    ProfileUnreadable: (OTHER, ()),
    LockHeld: (OTHER, ()),
    KeyRefused: (
        NOT_SIGNED_IN,
        (
            "Use the name that its key belongs to: {again:--agent-id {raw[key_name]}}",
            "Pair this machine again: modelyard agent pair --url {url}",
            "Then, if {used_name} is another machine, run this one with another name: modelyard agent run --agent-id"
            " NAME",
            "Then give it a name of its own, other than {key_name}: modelyard agent run --agent-id NAME",
            "Find other problems: modelyard agent doctor",
        ),
    ),
    AccountRequired: (
        NOT_SIGNED_IN,
        (
            "Sign in here with your account: modelyard login {registry} {email}",
            "Or confirm this machine's sign-in elsewhere: modelyard login {registry} --device",
            "Or set MODELYARD_TOKEN to a key that only reads (sk-), which an admin makes: modelyard key create NAME"
            " --access read",
        ),
    ),
    NoKey: (NOT_SIGNED_IN, ()),
}
LOCAL_FAILURES: Table = {
    **_TRANSFERS,
    **_SELECTION,
    **_MACHINE,
    ValidationError: (USAGE, ()),
    WorkflowsUnchecked: (USAGE, ()),
    ValueError: (USAGE, ()),
    OSError: (OTHER, ()),
}
