"""The exit codes and remedies of the problems that a registry responds with.

``{…}`` is filled from the failure's facts and the typed command; a line of which one is missing is omitted. ``{again}``
is the typed command, and ``{again:--path {raw[free_path]}}`` that with an option added, if it has such an option. Words
in capitals stay, since their values are not known.
"""

from modelyard.cli.terminal.remedies.exit_codes import (
    BYTES_WRONG,
    NOT_SIGNED_IN,
    OTHER,
    REFUSED,
    UNREACHABLE,
    Table,
)
from modelyard.wire import problems
from modelyard.wire.problems import Problem

_LOGIN = "modelyard login {registry} {email}"
# Of a refused token that MODELYARD_TOKEN has: it precedes a sign-in.
REFUSED_VARIABLE = ("Unset MODELYARD_TOKEN, or set a valid key.",)
# Of a key that MODELYARD_TOKEN has, and that may not do something: signing in changes nothing while it is set.
REPLACED_VARIABLE = ("Set MODELYARD_TOKEN to a key that may do it, or unset it to act with your account.",)
PERMIT_PICKLES = "Admins allow them with: modelyard team settings --pickle-policy {permitted_by}"
_OTHER_RELEASE = (
    "The registry is perhaps of another release than this command line: upgrade the older of the two. To see yours: "
    "modelyard --version",
)
_ACCESS: Table = {
    problems.RouteNotFound: (REFUSED, _OTHER_RELEASE),
    problems.MethodNotAllowed: (REFUSED, _OTHER_RELEASE),
    problems.Unauthenticated: (NOT_SIGNED_IN, (f"Sign in: {_LOGIN}",)),
    problems.SessionEnded: (NOT_SIGNED_IN, (f"Sign in again: {_LOGIN}",)),
    problems.SignInRefused: (
        NOT_SIGNED_IN,
        ("Check the address and the password. The operator can reset it: modelyard reset-password {email}",),
    ),
    problems.TeamHeaderMissing: (
        REFUSED,
        ("Select a team: modelyard team switch NAME (modelyard team ls lists yours)",),
    ),
    problems.TeamHeaderMalformed: (REFUSED, ("Select a team: modelyard team switch NAME",)),
    problems.NotAMember: (REFUSED, ("List your teams: modelyard team ls", "Select one: modelyard team switch NAME")),
    problems.RoleTooLow: (REFUSED, ("See your role: modelyard whoami",)),
    problems.KeyNotAllowed: (REFUSED, (f"Sign in with your account instead: {_LOGIN}",)),
    problems.OwnerStays: (REFUSED, ("Make another member the owner first: modelyard team transfer MEMBER",)),
    problems.KeysWouldStop: (
        REFUSED,
        (
            "Hand them to another admin: {again:--keys-to ADMIN}",
            "Or revoke them: {again:--stop-keys}",
            "List them: modelyard key ls",
        ),
    ),
    problems.KeyNotRotatable: (REFUSED, ("List your keys: modelyard key ls",)),
    problems.MemberNotFound: (REFUSED, ("List the members: modelyard member ls",)),
    problems.AlreadyInvited: (REFUSED, ("Withdraw it: modelyard invite rm {email_address}", "Then: {again}")),
    problems.InvitationNotFound: (
        REFUSED,
        ("Ask an admin of the team for a new one. Admins list the open ones with: modelyard invite ls",),
    ),
    problems.CredentialNotFound: (REFUSED, ("List your keys: modelyard key ls",)),
    problems.SessionNotFound: (REFUSED, ("List your sessions: modelyard account sessions",)),
    problems.PairingNotFound: (REFUSED, ("Start again: {raw[command]}",)),
    problems.AccountExists: (REFUSED, (f"Sign in with it, then accept the invitation: {_LOGIN}",)),
    problems.TooManyAttempts: (REFUSED, ("Try again in {retry_in}.",)),
}
_LIMITS: Table = {
    problems.QuotaExceeded: (
        REFUSED,
        (
            "Show what the team stores: modelyard team show",
            "List the largest models, to remove some: modelyard ls --sort=-file_size",
            "An admin can raise the quota: modelyard team settings --quota SIZE",
        ),
    ),
    problems.TooManyMachines: (
        REFUSED,
        (
            "List the machines: modelyard machine ls",
            "Remove one that is not used any more: modelyard machine rm MACHINE",
            "The operator can allow more: MODELYARD_MAX_MACHINES",
        ),
    ),
    problems.TooManyTeams: (
        REFUSED,
        (
            "List your teams: modelyard team ls",
            "Delete one that is not used any more: modelyard --team TEAM team rm",
            "Or make another member its owner: modelyard --team TEAM team transfer MEMBER",
            "The operator can allow more: MODELYARD_MAX_TEAMS",
        ),
    ),
    problems.TooManyKeys: (
        REFUSED,
        (
            "List the keys: modelyard key ls",
            "Revoke one that is not used any more: modelyard key rm KEY",
            "The operator can allow more: MODELYARD_MAX_KEYS",
        ),
    ),
    problems.TooManyInvitations: (
        REFUSED,
        (
            "List the open invitations: modelyard invite ls",
            "Withdraw one that is not needed any more: modelyard invite rm INVITATION",
            "The operator can allow more: MODELYARD_MAX_INVITATIONS",
        ),
    ),
    problems.CollectionLimitReached: (REFUSED, ("List the team's collections: modelyard collection ls",)),
    problems.SourceTokenLimitReached: (REFUSED, ("List the hosts, to remove one: modelyard source-token ls",)),
    problems.TooManyUploads: (
        REFUSED,
        (
            "Run pushes again that were interrupted, so that they finish.",
            "The next unfinished upload expires in {retry_in}. The operator can allow more: MODELYARD_OPEN_UPLOADS",
        ),
    ),
    problems.StorageFull: (
        REFUSED,
        ("The registry keeps the parts that were sent. When the operator has freed disk space, continue: {again}",),
    ),
    problems.VerificationQueueFull: (
        UNREACHABLE,
        ("Push again later. To list the files that wait: modelyard ls --verification pending",),
    ),
}
_MODELS: Table = {
    problems.ModelPathTaken: (
        REFUSED,
        (
            "Go back to that version instead: modelyard rollback {model} --to {same_version}",
            "Show the model that is there: modelyard show {model}",
            "Upload yours as its next version: {again:--replace}",
            "Or use another path: {again:--path {raw[free_path]}}",
            "Files of many models have this name. Give yours a path of its own: {again:--path {raw[own_path]}}",
            "It is a part of a model. Push its folder as one: {again:{folder_options}}",
            "Move that one: modelyard edit {model} --path {free_path} (then: modelyard restore {restored_id})",
            "Or remove it: modelyard rm {model} (then: modelyard restore {restored_id})",
        ),
    ),
    problems.VersionConflict: (
        REFUSED,
        (
            "List its versions: modelyard version ls {model}",
            "Show it: modelyard collection show {collection_id}",
            "Make yours the next one: {again}",
        ),
    ),
    problems.ModelPinned: (
        REFUSED,
        (
            "See which models a collection has: modelyard collection show NAME",
            "Remove it nevertheless: {again:--force}",
        ),
    ),
    problems.VersionInUse: (
        REFUSED,
        (
            "Make the version before it the current one first: modelyard rollback {typed_model} --to"
            " {previous_version}",
            "Remove the whole model: modelyard rm {typed_model}",
        ),
    ),
    problems.VersionNotFound: (
        REFUSED,
        (
            "List them: modelyard version ls {typed_model}",
            "List those in the trash: modelyard version ls {typed_model} --deleted",
        ),
    ),
    problems.NotAModelFile: (REFUSED, (PERMIT_PICKLES,)),
    problems.ModelTypeUnknown: (
        REFUSED,
        (
            "Use the known type: {again:--type {raw[suggestion]}}",
            # With a typed path, which has the type too; then with both.
            "Use the known type: {again:--path {raw[known_path]}}",
            "Use the known type: {again:--path {raw[known_path]}\n--type {raw[suggestion]}}",
        ),
    ),
    problems.ModelNotVerified: (REFUSED, ("See the state of its verification: modelyard show {typed_model}",)),
    problems.ModelNotFound: (REFUSED, ("List the models: modelyard ls",)),
    problems.HashMismatch: (BYTES_WRONG, ("Push the file again; it is read and sent from the start.",)),
    problems.SizeMismatch: (
        BYTES_WRONG,
        # Not for content whose size is known: the same file would be refused again.
        ("The upload was requested for {presigned} bytes. Push the file again, and do not change it meanwhile.",),
    ),
    problems.UploadIncomplete: (REFUSED, ("Push the file again: it continues, or is sent from the start.",)),
    problems.ChecksumWrong: (BYTES_WRONG, ("Push the file again; it is read and sent from the start.",)),
    problems.ModelDamaged: (
        BYTES_WRONG,
        (
            "List its versions, to use an earlier one: modelyard version ls {model}",
            "Push an intact copy to its path: modelyard push {copy} --path {model}",
            # Of an earlier version; at the path of the model, it would become the current one.
            "Push an intact copy of this version as another model, with a label that no machine has, and remove that:"
            " modelyard push {copy} --path {repair_path} --label only-for-repair (then: modelyard rm {repair_path})",
            # Of content that is not asked for as a version.
            "See which of its versions are damaged: modelyard version ls {typed_model}",
        ),
    ),
    problems.LoadersChanged: (REFUSED, ("Run it again: {again}",)),
}
_COLLECTIONS_AND_MACHINES: Table = {
    problems.CollectionNotFound: (REFUSED, ("List the collections: modelyard collection ls",)),
    problems.CollectionVersionNotFound: (
        REFUSED,
        ("List its versions: modelyard collection versions {typed_collection}",),
    ),
    problems.SubscriptionNotFound: (
        REFUSED,
        ("List what is subscribed: modelyard collection show {typed_collection}",),
    ),
    problems.RolloutNotFound: (REFUSED, ("Start one: modelyard collection rollout start {typed_collection}",)),
    problems.RolloutConflict: (REFUSED, ("See its state: modelyard collection rollout status {typed_collection}",)),
    problems.CollectionNameTaken: (
        REFUSED,
        (
            "Show the one that has it: modelyard collection show {collection_id}",
            "Make your models its version {next_version}: {again:--replace}",
        ),
    ),
    problems.AgentNotFound: (REFUSED, ("List the machines: modelyard machine ls",)),
    problems.SourceTokenNotFound: (REFUSED, ("List the hosts that have one: modelyard source-token ls",)),
}
PROBLEMS: Table = {
    **_ACCESS,
    **_LIMITS,
    **_MODELS,
    **_COLLECTIONS_AND_MACHINES,
    problems.Unavailable: (UNREACHABLE, ("Try again in {retry_in}.",)),
    problems.InternalError: (OTHER, ("Report it to the operator with this request id: {request_id}",)),
    Problem: (REFUSED, ()),
}
