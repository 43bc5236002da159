"""Parts of pickle files that several modules test."""

import io
import pickle
import zipfile
from typing import Any

from tests.server.inspection import builders
from tests.server.inspection.builders import (
    ZipEntry,
    build_pickle,
    call,
    named,
    table,
    text,
)

TENSOR = builders.tensor("0", 4)


def build_zip_of_another_writer(compression: int) -> bytes:
    """Build a checkpoint whose zip is written by Python's ``zipfile``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for entry in builders.build_checkpoint_entries():
            archive.writestr(entry.name, entry.content)
    return buffer.getvalue()


def build_entries(value: bytes, **changes: Any) -> list[ZipEntry]:
    """Build the members of a checkpoint of one tensor; ``changes`` apply to the pickle's member."""
    return [
        ZipEntry("a/data.pkl", build_pickle(value), **changes),
        ZipEntry("a/data/0", builders.WEIGHTS),
        ZipEntry("a/version", b"3\n"),
    ]


def save_value(value: object, protocol: int = 2) -> bytes:
    """Build a torch zip whose pickle is written by Python's ``pickle``."""
    return builders.build_zip(ZipEntry("a/data.pkl", pickle.dumps(value, protocol)), ZipEntry("a/version", b"3\n"))


RAW = build_pickle(table(w=TENSOR))
RUN_COMMAND = call(named("os", "system"), text("exit 1"))
