"""Problems of authentication, permissions and quotas."""

from modelyard.wire.problems.base import Problem


class Unauthenticated(Problem):
    """The token is missing, unknown, revoked or expired."""

    status, slug, title = 401, "unauthenticated", "You are not signed in"


class SignInRefused(Problem):
    """The e-mail address or the password is wrong."""

    status, slug, title = 401, "sign-in-refused", "Sign-in refused"


class SessionEnded(Problem):
    """The refresh token is unknown, used, expired or revoked. Sign in again."""

    status, slug, title = 401, "session-ended", "Your session has ended"


class TwoCredentials(Problem):
    """One request carried more than one credential."""

    status, slug, title = 400, "two-credentials", "Send one credential"


class TeamHeaderMissing(Problem):
    """A request with a user's token must select a team with ``X-Team-ID``."""

    status, slug, title = 400, "team-header-missing", "The X-Team-ID header is missing"


class TeamHeaderMalformed(Problem):
    """``X-Team-ID`` is not a UUID."""

    status, slug, title = 400, "team-header-malformed", "The X-Team-ID header is not a UUID"


class NotAMember(Problem):
    """The caller is not a member of this team. The same for a team that does not exist."""

    status, slug, title = 403, "not-a-member", "You are not a member of this team"


NEEDS_ROLE = "This needs the role '{needed}' or higher. Ask an admin of the team."
ONLY_OWN_MODELS = "Members may change only the models that they registered. Ask an admin."


class RoleTooLow(Problem):
    """The caller is a member of the team, but the operation requires a higher role."""

    status, slug, title = 403, "role-too-low", "Your role does not allow this"


class KeyNotAllowed(Problem):
    """Keys of this kind do not permit the operation."""

    status, slug, title = 403, "key-not-allowed", "This key may not do this"


class OwnRole(Problem):
    """Users cannot change their own role."""

    status, slug, title = 403, "own-role", "You cannot change your own role"


class OwnerStays(Problem):
    """The owner cannot be removed or get a lower role. Transfer the team first."""

    status, slug, title = 403, "owner-stays", "The owner stays until the team is transferred"


class CrossSiteRefused(Problem):
    """A cookie session was used from another origin or without its header."""

    status, slug, title = 403, "cross-site-refused", "Cross-site request refused"


class QuotaExceeded(Problem):
    """The upload would exceed the team's storage quota."""

    status, slug, title = 403, "quota-exceeded", "The team's quota is used up"


class TooManyMachines(Problem):
    """The team has reached its maximum number of machines. Facts: ``machines``, ``max_machines``."""

    status, slug, title = 403, "too-many-machines", "The team has too many machines"


class TooManyTeams(Problem):
    """The user owns the maximum number of teams. Facts: ``teams``, ``max_teams``."""

    status, slug, title = 403, "too-many-teams", "You own too many teams"


class TooManyKeys(Problem):
    """The team has reached its maximum number of keys for programs and machines. Facts: ``keys``, ``max_keys``."""

    status, slug, title = 403, "too-many-keys", "The team has too many keys"


class TooManyInvitations(Problem):
    """The team has reached its maximum number of open invitations. Facts: ``invitations``, ``max_invitations``."""

    status, slug, title = 403, "too-many-invitations", "The team has too many open invitations"


class MachineRequestsOff(Problem):
    """The team does not let machines list its models or assign them to themselves."""

    status, slug, title = 403, "machine-requests-off", "Machines may not request models"


class HostNotAllowed(Problem):
    """The Host header is not one of the registry's host names."""

    status, slug, title = 400, "host-not-allowed", "This host name is not served here"
