"""``convert``: pickle files become safetensors models."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.server.inspection import builders
from tests.server.inspection.pickle_parts import checkpoint

pytestmark = pytest.mark.slow


def test_convert_pickle_prints_the_new_model_and_again_the_same(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    file = tmp_path / "4x.pth"
    file.write_bytes(builders.build_checkpoint())
    assert signed_in("push", str(file), "--type", "upscale_models").code == 0
    first = signed_in("convert", "upscale_models/4x.pth", "--json")
    assert first.code == 0, first.err
    model = json.loads(first.out)["model"]
    assert model["model_path"] == "models/upscale_models/4x.safetensors"
    assert model["derived_from"]["version"] == 1
    origin, shown = model["derived_from"], signed_in("show", model["id"]).out
    assert re.search(f"^converted from +{origin['model_id']}, version 1, sha256:", shown, re.MULTILINE)
    assert signed_in("convert", "upscale_models/4x.pth", "-q").out == f"{model['id']}\n"


def test_convert_training_checkpoint_names_what_the_converted_file_lacks(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    file = tmp_path / "train.ckpt"
    weights = builders.table(w=builders.tensor("0", 4))
    file.write_bytes(checkpoint(builders.table(params_ema=weights, params=weights, epoch=builders.number(3))))
    assert signed_in("push", str(file), "--type", "checkpoints").code == 0
    converted = signed_in("convert", "checkpoints/train.ckpt")
    assert "Not in the converted file: params, epoch" in converted.out
