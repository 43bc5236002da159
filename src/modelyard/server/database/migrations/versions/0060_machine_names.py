"""Machines named "." or ".." get another name: no client can name them in the path of an address.

Paired keys that are bound to such a machine are free again for the name under which it is set up anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

REMOVED_NAMES = (".", "..")


def upgrade() -> None:
    agents = sa.table("agents", sa.column("number"), sa.column("team_id"), sa.column("agent_id"))
    credentials = sa.table("credentials", sa.column("agent_id"))
    connection = op.get_bind()
    is_removed = agents.c.agent_id.in_(REMOVED_NAMES)
    for number, team_id in connection.execute(sa.select(agents.c.number, agents.c.team_id).where(is_removed)).all():
        names = set(connection.scalars(sa.select(agents.c.agent_id).where(agents.c.team_id == team_id)))
        name = f"renamed-{number}"
        while name in names:
            name += "-"
        connection.execute(agents.update().where(agents.c.number == number).values(agent_id=name))
    connection.execute(credentials.update().where(credentials.c.agent_id.in_(REMOVED_NAMES)).values(agent_id=None))
