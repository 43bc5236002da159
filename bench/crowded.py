"""``python -m bench.crowded DATA_DIR COUNT``: very many models for the only team of a registry that does not run."""

import sys
from pathlib import Path

from sqlalchemy import select

from bench import catalogue
from modelyard.server.database.session import Database
from modelyard.server.teams.tables import TeamRow


def main() -> None:
    folder, count = sys.argv[1:]
    database = Database(f"sqlite:///{Path(folder) / 'modelyard.sqlite3'}")
    with database.reading() as session:
        team_id = session.scalars(select(TeamRow.id)).one()
    catalogue.fill(database, team_id, int(count))


if __name__ == "__main__":
    main()
