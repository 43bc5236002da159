"""What a model is: base model, trigger words, license and author.

From a person, or else from the version that its record shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Uuid, bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.inspection.description.base_models import (
    FAMILIES,
    BaseModel,
    Claim,
    prove_base_model,
    refine_base_model,
)
from modelyard.server.inspection.description.trigger_words import has_declared_phrase
from modelyard.server.inspection.metadata import clean_list
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.wire.base_models.spellings import find_base_model
from modelyard.wire.model_details import MAX_TRIGGER_WORDS, FactSource, Sidecar, TrainingTag
from modelyard.wire.texts.cleaning import clean_text

# Fields of requests whose values are stored in other columns: the columns of these names have the derived values.
OVERRIDES = {name: f"{name}_override" for name in ("base_model", "trigger_words", "license", "author")}
# Entries of a version's metadata that its model's copy does not have, since lists do not return them.
_NOT_LISTED = frozenset({"training_tags", "imports"})
# Entries of a version's metadata that records have as fields, or that only the registry needs.
_NOT_IN_RECORDS = frozenset({"details", "base_families", *_NOT_LISTED})
# What Civitai calls the base model of files that have none of its list.
_NO_BASE_MODEL = frozenset({"", "other", "unknown"})
_versions = get_table(ModelVersionRow)
_SELECT_FACTS = select(_versions.c.facts).where(
    _versions.c.model_id == bindparam("model", type_=Uuid()), _versions.c.number == bindparam("number")
)


@dataclass(frozen=True)
class Sources:
    """What tells what a model is, apart from its file's metadata.

    The first four are what a person entered, ``sidecar`` what a file beside the version's declares; None where absent.
    """

    base_model: str | None
    trigger_words: list[str] | None
    license: str | None
    author: str | None
    sidecar: Mapping[str, Any] | None
    model_path: str


def derive_details(facts: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Return the derived columns of a model: base model, license and author, each with its source; trigger words."""
    base = BaseModel(sources.base_model, "person") if sources.base_model else _derive_base_model(facts, sources)
    words = _derive_trigger_words(facts, sources)
    derived: dict[str, Any] = {"base_model": base.name, "base_source": base.source, "trigger_words": words or None}
    for name, own in (("license", sources.license), ("author", sources.author)):
        derived[name], derived[f"{name}_source"] = _choose_text(name, own, facts, sources)
    return derived


def _choose_text(
    name: str, own: str | None, facts: Mapping[str, Any], sources: Sources
) -> tuple[str | None, FactSource | None]:
    """Return the license or author with its source: a person's, else that of the file, else that of the sidecar."""
    declared = (facts.get("details") or {}).get(name)
    beside = (sources.sidecar or {}).get(name)
    texts: list[tuple[str | None, FactSource]] = [(own, "person"), (declared, "file"), (beside, "sidecar")]
    return next(((text, source) for text, source in texts if text), (None, None))


def _derive_base_model(facts: Mapping[str, Any], sources: Sources) -> BaseModel:
    """Return what the tensors show, refined by the sidecar, the metadata or the file name; they never contradict it.

    The source is the tensors also if one of the others says the same, since it is no claim then. Only a sidecar tells
    the base model of a file whose tensors show none.
    """
    families = [family for family in facts.get("base_families", []) if family in FAMILIES]
    sidecar = (sources.sidecar or {}).get("base_model") or ""
    claims = [Claim("sidecar", sidecar)]
    if facts.get("base_source") == "metadata":
        claims.append(Claim("metadata", facts["base_model"]))
    claims.append(Claim("file_name", PurePosixPath(sources.model_path).stem, is_exact=False))
    base = prove_base_model(refine_base_model(families, claims), families)
    if families or sidecar.casefold() in _NO_BASE_MODEL:
        return base
    return BaseModel(find_base_model(sidecar) or sidecar, "sidecar")


def _derive_trigger_words(facts: Mapping[str, Any], sources: Sources) -> list[dict[str, str]]:
    """Return the trigger words of the first source: a person, a phrase in the file, a sidecar, the training's names."""
    if sources.trigger_words is not None:
        return [{"text": word, "source": "person"} for word in sources.trigger_words]
    words = (sources.sidecar or {}).get("trigger_words") or []
    if words and not has_declared_phrase(facts.get("extra", {})):
        return [{"text": word, "source": "sidecar"} for word in words]
    # Metadata of earlier releases has plain texts, most of which are frequent tags.
    return [word for word in facts.get("trigger_words", []) if isinstance(word, dict)]


def update_details(model: ModelRow, version: ModelVersionRow) -> None:
    """Set everything in a model's row that follows from the metadata of the version that its record shows."""
    model.facts = build_listed_metadata(version.facts)
    own = {name: getattr(model, column) for name, column in OVERRIDES.items()}
    sources = Sources(**own, sidecar=version.sidecar, model_path=model.model_path)
    for name, value in derive_details(version.facts, sources).items():
        setattr(model, name, value)


def build_sidecar(sidecar: Sidecar | None) -> dict[str, Any] | None:
    """Return a sidecar as it is stored: cleaned and cut, each word once; None for an empty one."""
    if sidecar is None:
        return None
    words = clean_list(sidecar.trigger_words, MAX_TRIGGER_WORDS)
    base_model = clean_text(sidecar.base_model or "", 100) or None
    texts = {"license": clean_text(sidecar.license or "", 200), "author": clean_text(sidecar.author or "", 100)}
    # Absent texts are left out, so that sidecars of earlier releases are equal to the same ones sent again.
    known = {name: text for name, text in texts.items() if text}
    return {"base_model": base_model, "trigger_words": words, **known} if words or base_model or known else None


def build_listed_metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a version's metadata that its model's row has too."""
    return {name: value for name, value in facts.items() if name not in _NOT_LISTED}


def build_record_metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata in the record of a model or version, without what is a field or internal."""
    return {name: value for name, value in facts.items() if name not in _NOT_IN_RECORDS}


def load_training_tags(session: Session, model: ModelRow) -> list[TrainingTag]:
    """Return the training tags of the version that a model's record shows."""
    shown = {"model": model.id, "number": model.shown_version}
    facts = session.connection().execute(_SELECT_FACTS, shown).scalar_one()
    return [TrainingTag.model_validate(tag) for tag in facts.get("training_tags", [])]
