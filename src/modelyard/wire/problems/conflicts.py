"""Problems of requests that conflict with the present state of an object."""

from modelyard.wire.problems.base import Problem


class ModelPathTaken(Problem):
    """Another model of the team uses this path. Facts: ids of the models, both hashes of a file, a free path."""

    status, slug, title = 409, "model-path-taken", "This model path is taken"


class ModelIsFolder(Problem):
    """The model has many files, so this is not possible for it. Fact ``files_path``: the API path of their list."""

    status, slug, title = 409, "model-is-folder", "This model is a folder"


class UploadIncomplete(Problem):
    """The upload has no complete file, or one of another size. Facts: ``stored`` and ``declared``, in bytes."""

    status, slug, title = 409, "upload-incomplete", "The upload is not complete"


class UploadUsed(Problem):
    """The upload was registered as a model before. Fact: the id of that model."""

    status, slug, title = 409, "upload-used", "This upload is registered already"


class PartsWrong(Problem):
    """The listed parts differ from the parts in the store."""

    status, slug, title = 409, "parts-wrong", "The listed parts do not match this upload"


class VersionConflict(Problem):
    """The newest version of the model or collection is not the expected one. Facts: its number, creator and hash."""

    status, slug, title = 409, "version-conflict", "Another version is the newest one"


class TrustNotAllowed(Problem):
    """The team's policy for pickle files permits no exceptions for single files; an admin can set it to ``trusted``."""

    status, slug, title = 409, "trust-not-allowed", "The team's policy permits no trusted files"


class VersionInUse(Problem):
    """The version whose content the record shows cannot be deleted. Fact: ``previous_version``, which was before."""

    status, slug, title = 409, "version-in-use", "The version is in use"


class ModelPinned(Problem):
    """Machines hold the model by a pinned collection, and would lose it. Fact: ``collections``, names of up to 10."""

    status, slug, title = 409, "model-pinned", "A pinned collection has this model"


class CollectionNameTaken(Problem):
    """Another collection of the team has this name; case and outer spaces do not matter. Fact: ``collection_id``."""

    status, slug, title = 409, "collection-name-taken", "This name is taken"


class CollectionLimitReached(Problem):
    """The team has as many collections, or the collection as many versions, as are allowed. Fact: ``limit``."""

    status, slug, title = 409, "collection-limit-reached", "The limit of collections or versions is reached"


class WebhookLimitReached(Problem):
    """The team has as many webhooks as are allowed. Fact: ``limit``."""

    status, slug, title = 409, "webhook-limit-reached", "The limit of webhooks is reached"


class RolloutConflict(Problem):
    """The state of the collection's last roll-out does not allow this. Facts: its ``rollout_id`` and ``state``."""

    status, slug, title = 409, "rollout-conflict", "The state of the roll-out does not allow this"


class LoadersChanged(Problem):
    """The team's table of loaders is not the one in ``expected_loader_list``. Read it again."""

    status, slug, title = 409, "loaders-changed", "The table of loaders has changed"


class ModelNotVerified(Problem):
    """The content cannot be downloaded before it is verified. Fact: ``verification``."""

    status, slug, title = 409, "model-not-verified", "The model is not verified"


class ModelDamaged(Problem):
    """The stored content is corrupt or missing. Push the same file again to repair the model.

    Facts, if a version was asked for: ``model_path``, ``version``, ``is_current``, ``is_folder``, ``was_verified``.
    """

    status, slug, title = 409, "model-damaged", "The model's bytes are damaged"


class AgentUnknown(Problem):
    """The registry has no machine with this name for this key yet. Send a heartbeat first."""

    status, slug, title = 409, "agent-unknown", "The machine is not known yet"


class AgentTaken(Problem):
    """Another machine or another person's machine has this name. The detail says what to do."""

    status, slug, title = 409, "agent-taken", "Another machine has this name"


class RemovalNotWaiting(Problem):
    """The machine has no removal that waits for approval."""

    status, slug, title = 409, "removal-not-waiting", "No removal waits"


class RemovalChanged(Problem):
    """The files that wait for approval are not those that were shown. Fact ``removal_waiting``: how many wait now."""

    status, slug, title = 409, "removal-changed", "Other files wait for approval now"


class KeysWouldStop(Problem):
    """The user is responsible for keys that require an admin. Facts: ``key_list`` (at most 100), ``key_count``."""

    status, slug, title = 409, "keys-would-stop", "Keys would stop working"


class KeyNotRotatable(Problem):
    """The key has expired or was revoked, or came by pairing. Create a new key, or pair the machine again."""

    status, slug, title = 409, "key-not-rotatable", "This key cannot be rotated"


class AlreadyMember(Problem):
    """The user is a member of the team already."""

    status, slug, title = 409, "already-member", "Already a member"


class AlreadyInvited(Problem):
    """The team has an open invitation for this e-mail address. Fact: ``email_address``."""

    status, slug, title = 409, "already-invited", "Already invited"


class AccountExists(Problem):
    """The e-mail address has an account. Sign in, then accept the invitation."""

    status, slug, title = 409, "account-exists", "This address has an account"
