"""Problems of missing objects; the same for objects of other teams."""

from modelyard.wire.problems.base import Problem


class ModelNotFound(Problem):
    """No model of this team has this id."""

    status, slug, title = 404, "model-not-found", "There is no such model"


class AgentNotFound(Problem):
    """No machine of this team has this name."""

    status, slug, title = 404, "agent-not-found", "There is no such machine"


class VersionNotFound(Problem):
    """The model has no such version, or it is in the trash."""

    status, slug, title = 404, "version-not-found", "The model has no such version"


class CollectionNotFound(Problem):
    """No collection of this team has this id."""

    status, slug, title = 404, "collection-not-found", "There is no such collection"


class WebhookNotFound(Problem):
    """No webhook of this team has this id."""

    status, slug, title = 404, "webhook-not-found", "There is no such webhook"


class WebhookDeliveryNotFound(Problem):
    """The webhook has no delivery with this id; deliveries are kept for 30 days."""

    status, slug, title = 404, "webhook-delivery-not-found", "There is no such delivery"


class CollectionVersionNotFound(Problem):
    """The collection has no such version."""

    status, slug, title = 404, "collection-version-not-found", "The collection has no such version"


class SubscriptionNotFound(Problem):
    """The collection has no subscription with this id."""

    status, slug, title = 404, "subscription-not-found", "There is no such subscription"


class RolloutNotFound(Problem):
    """The collection has no roll-out with this id."""

    status, slug, title = 404, "rollout-not-found", "The collection has no such roll-out"


class PreviewNotFound(Problem):
    """No team of the caller has this picture, or the version has none."""

    status, slug, title = 404, "preview-not-found", "There is no such picture"


class RepositoryNotFound(Problem):
    """The Hugging Face endpoint has no such repository for the team, or nothing of it is verified and enabled."""

    status, slug, title = 404, "repository-not-found", "There is no such repository"


class RepositoryRevisionNotFound(Problem):
    """The Hugging Face endpoint has no verified file of this revision of the repository."""

    status, slug, title = 404, "repository-revision-not-found", "The repository has no such revision"


class RepositoryFileNotFound(Problem):
    """The Hugging Face endpoint has no such file in this revision of the repository."""

    status, slug, title = 404, "repository-file-not-found", "The repository has no such file"


class UploadNotFound(Problem):
    """No upload of this team has this storage key or upload id."""

    status, slug, title = 404, "upload-not-found", "There is no such upload"


class TeamNotFound(Problem):
    """The team does not exist, or was deleted."""

    status, slug, title = 404, "team-not-found", "There is no such team"


class MemberNotFound(Problem):
    """The team has no such member."""

    status, slug, title = 404, "member-not-found", "There is no such member"


class InvitationNotFound(Problem):
    """The invitation is unknown, used, withdrawn or expired."""

    status, slug, title = 404, "invitation-not-found", "There is no such invitation"


class TrustedFileNotFound(Problem):
    """The team has no trusted file with this hash, or no refused file that could become one."""

    status, slug, title = 404, "trusted-file-not-found", "There is no such file"


class CredentialNotFound(Problem):
    """The team has no such credential, or the caller may not see it."""

    status, slug, title = 404, "credential-not-found", "There is no such credential"


class SessionNotFound(Problem):
    """The user has no such session."""

    status, slug, title = 404, "session-not-found", "There is no such session"


class PairingNotFound(Problem):
    """The pairing code is unknown, used or expired. Start again on the machine."""

    status, slug, title = 404, "pairing-not-found", "There is no such pairing"


class AccountNotFound(Problem):
    """No account has this e-mail address. Only reported to operators."""

    status, slug, title = 404, "account-not-found", "There is no such account"


class PasswordResetNotFound(Problem):
    """The reset link is unknown, used or expired. Ask the operator for a new one."""

    status, slug, title = 404, "password-reset-not-found", "There is no such password reset"
