"""A peer for requests that read: a bare FastAPI route that sends the same SQL statements and returns the same record.

    python -m bench.bare_server PLAN PORT

``PLAN`` is a JSON file with the path of a SQLite database and, for each route, its statements with their values and
the body of its response. There is no authentication beyond its statements, no limit, no log and no metrics.
"""

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from modelyard.wire.models import Model, ModelList


def build_app(plan: dict[str, Any]) -> FastAPI:
    """Build the application with one route for a record and one for a list."""
    app = FastAPI()
    engine = create_engine(f"sqlite:///{plan['database']}")

    def run(name: str) -> Any:
        """Send the statements of a route in one session, read all rows, and return its response."""
        with Session(engine) as session:
            connection = session.connection()
            for statement, values in plan["routes"][name]["statements"]:
                connection.exec_driver_sql(statement, tuple(values)).all()
        return plan["routes"][name]["body"]

    @app.get("/record")
    def get_record() -> Model:
        return Model(**run("record"))

    @app.get("/list")
    def list_records() -> ModelList:
        return ModelList(**run("list"))

    return app


if __name__ == "__main__":
    uvicorn.run(build_app(json.loads(Path(sys.argv[1]).read_text())), port=int(sys.argv[2]), log_level="warning")
