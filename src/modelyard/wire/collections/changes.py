"""API schemas of the comparison of two versions of a collection."""

from uuid import UUID

from pydantic import Field

from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_ID, Schema


class ListedModel(Schema):
    """A model as a version of a collection lists it."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    model_path: str = Field(
        description="The model's path when it was added.", examples=["models/loras/ink.safetensors"]
    )
    version: int = Field(description="Which of its versions.", examples=[3])
    file_size: int = Field(description="Bytes of this version.", examples=[151_000_000])
    file_hash: str = Field(description="`sha256:` and the hex digest of this version.", examples=[EXAMPLE_HASH])


class ChangedModel(ListedModel):
    """A model that both versions of a collection have, at different versions of the model."""

    previous_version: int = Field(description="Which of its versions it was before.", examples=[2])
    previous_size: int = Field(description="Bytes of the version before.", examples=[150_000_000])
    previous_hash: str = Field(
        description="`sha256:` and the hex digest of the version before.", examples=[EXAMPLE_HASH]
    )


class CollectionChanges(Schema):
    """What changed in a collection from the version `since` to `version`."""

    version: int = Field(description="The version after the changes.", examples=[3])
    since: int | None = Field(
        description="The version before the changes; null for the first version, of which all models are new.",
        examples=[2],
    )
    added_list: list[ListedModel] = Field(description="Models that only `version` has, in its order.", examples=[[]])
    removed_list: list[ListedModel] = Field(description="Models that only `since` has, in its order.", examples=[[]])
    changed_list: list[ChangedModel] = Field(description="Models that both have, at different versions.", examples=[[]])
