"""The names of all commands, with their lines in the help: known without importing what they need."""

from typing import NamedTuple


class ClientCommand(NamedTuple):
    """A command or group: the module below ``modelyard.cli`` whose ``add_to`` adds it, and its line in the help."""

    module: str
    help: str


CLIENT_COMMANDS = {
    "login": ClientCommand("registry.accounts", "Sign in to a registry and save the session here."),
    "logout": ClientCommand("registry.accounts", "End the session, or revoke this device's key."),
    "whoami": ClientCommand("registry.accounts", "Show the registry, who you are there, and your teams."),
    "password": ClientCommand("registry.accounts", "Change your password; your other sessions end."),
    "push": ClientCommand("transfers.push", "Push model files into the team's registry."),
    "add": ClientCommand("transfers.add", "Add models from links: Hugging Face, Civitai, any https address."),
    "outdated": ClientCommand("transfers.outdated", "List models that have a newer version at their source."),
    "pull": ClientCommand("transfers.pull", "Download models to this machine, and check their hashes."),
    "ls": ClientCommand("registry.model_list", "List models, newest first."),
    "unused": ClientCommand("registry.machines.unused", "List models that no machine has used for a while."),
    "show": ClientCommand("registry.models", "Show one model, and its state on each machine."),
    "edit": ClientCommand("registry.models", "Change the details, the type or the path of a model."),
    "enable": ClientCommand("registry.models", "Enable models again, so that machines get them."),
    "disable": ClientCommand("registry.models", "Disable models, so that machines remove them."),
    "rm": ClientCommand("registry.models", "Move models to the trash."),
    "restore": ClientCommand("registry.models", "Restore models from the trash."),
    "rollback": ClientCommand("registry.versions", "Make an earlier version of a model the current one."),
    "lookup": ClientCommand("registry.lookup", "Find the models with the content of a file, a hash or a path."),
    "check": ClientCommand("this_machine.check", "Check which models workflows need, and where they run."),
    "lock": ClientCommand("this_machine.lock", "Pin the models of workflows in a comfy-lock.yaml, or check one."),
    "facets": ClientCommand("registry.lookup", "Count the models that a search finds by type, tag and others."),
    "sync": ClientCommand("this_machine.sync", "Print a plan, then place the team's models in a folder."),
    "audit": ClientCommand("registry.audit", "List the team's audit events, newest first; for admins."),
    "version": ClientCommand("registry.versions", "Versions of a model: list, set the note, remove, restore."),
    "convert": ClientCommand("transfers.convert", "Convert a pickle file to safetensors, in the registry."),
    "trust": ClientCommand("registry.pickles.trust", "Pickle files that the scan refused: allow one, list, withdraw."),
    "collection": ClientCommand("registry.collections.collection", "Named lists of models: create, change, show, …"),
    "machine": ClientCommand("registry.machines.machine", "The team's machines: list, add, label, assign, remove, …"),
    "agent": ClientCommand("this_machine.agent", "The agent that keeps this machine in sync (Linux, macOS)."),
    "account": ClientCommand("registry.own_account", "Your account: your names and your sessions."),
    "preview": ClientCommand("registry.previews", "The picture of a model: set, download, remove."),
    "team": ClientCommand("registry.team", "Your teams: list, show, create, switch, settings, leave, …"),
    "member": ClientCommand("registry.member", "The team's members: list, show, change a role, remove."),
    "invite": ClientCommand("registry.invite", "Invitations to the team: list, create, withdraw, accept, …"),
    "source-token": ClientCommand("transfers.source_tokens", "Tokens that imports send to sources: list, set, remove."),
    "webhook": ClientCommand("registry.webhooks.webhook", "Send the team's events to other systems; for admins."),
    "key": ClientCommand("registry.key", "Keys for programs and machines: list, create, rotate, …"),
    "help": ClientCommand("command_search", "Find commands by what they do, or show the help of one."),
}
# In the order of the help, which has a section for each.
COMMAND_GROUPS = {
    "First steps": ("login", "push", "ls", "pull"),
    "Models": (
        *("show", "add", "edit", "preview", "lookup", "facets", "outdated", "unused", "disable", "enable"),
        *("rm", "restore", "rollback", "version", "convert", "trust"),
    ),
    "Workflows and collections": ("check", "lock", "collection"),
    "This machine": ("sync", "agent"),
    "Team and machines": ("machine", "team", "member", "invite", "key", "source-token", "webhook", "audit"),
    "Account": ("whoami", "account", "password", "logout"),
    "Help": ("help",),
}
# Earlier spellings that scripts may use, with the module that adds them; the help does not list them.
HIDDEN_COMMANDS = {"versions": "registry.versions"}
# In the order of the server's own help. A base installation lacks what they import.
SERVER_COMMANDS = {
    "serve": "Run the registry.",
    "migrate": "Update the database's schema.",
    "reset-password": "Print a one-time link for a new password.",
    "restore-team": "Restore a deleted team.",
    "collect-garbage": "Delete what is past its retention now.",
    "storage": "Probe and set up the storage.",
}
