"""API schemas of conversions of pickle files to safetensors."""

from uuid import UUID

from pydantic import Field

from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_ID, Schema


class DerivedFrom(Schema):
    """The version of a model that another model was converted from."""

    model_id: UUID = Field(description="The model; it may have been deleted since.", examples=[EXAMPLE_ID])
    version: int = Field(description="Its version.", examples=[1])
    file_hash: str = Field(description="The hash of the converted file.", examples=[EXAMPLE_HASH])


class Conversion(Schema):
    """A conversion that was started, or its result if the same file was converted before."""

    import_id: UUID | None = Field(
        description="The import that converts the file; null if it was converted before.", examples=[EXAMPLE_ID]
    )
    model_id: UUID | None = Field(description="The converted model; null until the import is done.", examples=[None])
    model_path: str = Field(description="The path of the converted model.", examples=["upscale_models/4x.safetensors"])
    left_out_list: list[str] | None = Field(
        description="Names of up to 20 entries of the file that the converted one does not have, such as the state of "
        "a training, or other weights than those that ComfyUI loads; null if it was converted before.",
        examples=[["params", "epoch"]],
    )
    left_out_count: int | None = Field(
        description="How many such entries there are; null if it was converted before.", examples=[2]
    )
