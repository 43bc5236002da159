"""The roles of team members."""

from enum import StrEnum


class Role(StrEnum):
    """The roles of team members, in ascending order of permissions."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    def __repr__(self) -> str:
        """Return the quoted value: pydantic lists the accepted roles by their repr in its messages."""
        return repr(self.value)

    @property
    def rank(self) -> int:
        """The position among the roles: 0 for the viewer, who has the fewest permissions, to 3 for the owner."""
        return _RANKS[self]


_RANKS = {role: rank for rank, role in enumerate(Role)}
