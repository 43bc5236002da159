"""Query parameters of the older release, which its clients send, and which this registry would refuse as unknown."""

import json
import subprocess
from typing import Any

from tools.older_release import COMMIT
from tools.repository import ROOT

DOCUMENT = "docs/reference/openapi.json"


def list_parameters(document: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Return the names of the query parameters of each operation, by method and path."""
    return {
        (method, path): {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_each_query_parameter_of_the_older_release_still_exists() -> None:
    command = ["git", "show", f"{COMMIT}:{DOCUMENT}"]
    older = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    now = list_parameters(json.loads((ROOT / DOCUMENT).read_text()))
    assert sum(map(len, list_parameters(older).values())) > 20
    for operation, names in list_parameters(older).items():
        assert names <= now[operation], operation
