"""``python -m bench.fill_registry DATA_DIR COUNT``: insert models into the only team of a stopped registry."""

import sys
from pathlib import Path

from sqlalchemy import select

from bench import generated_models
from modelyard.server.database.session import Database
from modelyard.server.teams.tables import TeamRow


def main() -> None:
    folder, count = sys.argv[1:]
    database = Database(f"sqlite:///{Path(folder) / 'modelyard.sqlite3'}")
    with database.reading() as session:
        team_id = session.scalars(select(TeamRow.id)).one()
    generated_models.insert_models(database, team_id, int(count))


if __name__ == "__main__":
    main()
