"""Rows of LoRA lists, which custom nodes keep as JSON objects instead of texts."""

from dataclasses import dataclass

from modelyard.comfyui.workflows.documents import JsonObject, as_list, as_object


@dataclass(frozen=True)
class LoraRow:
    """A LoRA of a list; often without folder and extension."""

    name: str
    is_on: bool


def list_lora_rows(value: object) -> list[LoraRow]:
    """Return the LoRAs that a value lists; none for any other value.

    rgthree's Power Lora Loader has a value ``{on, lora, strength}`` for each row. LoRA Manager has a list of
    ``{name, strength, active}``, in API format inside ``{__value__}``.
    """
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    rows = as_list(value) or [value]
    return [row for each in rows if (row := _read_row(as_object(each)))]


def _read_row(row: JsonObject) -> LoraRow | None:
    """Return a row of one of the two forms; None for any other object."""
    if "on" in row and isinstance(name := row.get("lora"), str):
        return LoraRow(name, row["on"] is not False)
    if "strength" in row and "active" in row and isinstance(name := row.get("name"), str):
        return LoraRow(name, row["active"] is not False)
    return None
