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


class CredentialNotFound(Problem):
    """The team has no such credential, or the caller may not see it."""

    status, slug, title = 404, "credential-not-found", "There is no such credential"


class PairingNotFound(Problem):
    """The pairing code is unknown, used or expired. Start again on the device."""

    status, slug, title = 404, "pairing-not-found", "There is no such pairing"


class AccountNotFound(Problem):
    """No account has this e-mail address. Only reported to operators."""

    status, slug, title = 404, "account-not-found", "There is no such account"


class PasswordResetNotFound(Problem):
    """The reset link is unknown, used or expired. Ask the operator for a new one."""

    status, slug, title = 404, "password-reset-not-found", "There is no such password reset"
