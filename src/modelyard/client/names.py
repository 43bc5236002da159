"""The name that a push or an import sends with the content."""

from typing import TypedDict


class NameFields(TypedDict):
    """The fields of a registration or an import that are about the model's name."""

    display_name: str
    keeps_name: bool


def build_name_fields(entered: str | None, fallback: str) -> NameFields:
    """Return the name that a person entered, or else the fallback, which a model that exists does not get.

    An empty name counts as none. Registries that do not know ``keeps_name`` set any name that is sent, so the fallback
    for a model that exists should be the name that it had.
    """
    return {"display_name": entered or fallback, "keeps_name": not entered}
