"""Names of base models: which known one a text spells, and of which it is a near miss."""

import pytest

from modelyard.wire.base_models.names import BASE_MODELS, KnownBaseModel
from modelyard.wire.base_models.spellings import find_base_model, suggest_base_model
from modelyard.wire.model_details import BaseModelName
from modelyard.wire.schemas import Schema

NEAR_MISSES = {
    "Pony": ["pony", "PONY", " Pnoy ", "ponyDiffusionV6XL", "Pony Diffusion V6 XL"],
    "SDXL 1.0": ["sdxl", "SDXL1.0", "sdxl-1.0", "sd_xl_base_1.0", "Stable Diffusion XL"],
    "SD 1.5": ["SD15", "sd1.5", "Stable Diffusion 1.5"],
    "Illustrious": ["illustrius", "Illustriuos", "Illustrious XL"],
    "NoobAI": ["noob", "NoobAI XL", "noob_ai"],
    "Flux.1": ["flux", "FLUX.1", "flux 1"],
    "Flux.1 D": ["flux-dev", "FLUX.1 [dev]", "flux.1d"],
    "Flux.1 Kontext": ["Flux.1 Kontex", "flux kontext"],
    "Flux.2": ["flux.2", "flux2"],
    "Flux.2 D": ["flux 2 dev"],
    "Qwen": ["qwen-image", "QWEN"],
    "Wan Video 2.2": ["wan2.2", "Wan 2.2"],
    "ZImageTurbo": ["Z-Image Turbo"],
    "Chroma": ["chorma"],
}
NEW = [
    *("Illustrious 2.0", "SDXL Refiner", "Qwen Image 2512", "Wan Video 2.3", "SD 4", "Kolors", "CogVideoX", "Anime"),
    # Near misses of several names, of which none is more probable.
    "Flux.1 X",
    *("My own base", "my little pony", "模型", "-", "", "x" * 10_000),
]


class Named(Schema):
    name: BaseModelName


@pytest.mark.parametrize("name", BASE_MODELS)
def test_known_name_is_found_in_any_case_and_nothing_is_suggested_for_it(name: KnownBaseModel) -> None:
    # Trainers that write only "Flux.2" mean Flux.2 D.
    assert find_base_model(f" {name.upper()} ") == ("Flux.2 D" if name == "Flux.2" else name)
    assert suggest_base_model(name) is None


@pytest.mark.parametrize("name", BASE_MODELS)
def test_known_name_is_accepted_as_the_base_model_of_a_model(name: KnownBaseModel) -> None:
    assert Named(name=name).name == name


@pytest.mark.parametrize("name", [name for name in BASE_MODELS if not name.isupper()])
def test_suggest_base_model_known_name_in_capitals_returns_it(name: KnownBaseModel) -> None:
    assert suggest_base_model(name.upper()) == name


@pytest.mark.parametrize(("text", "name"), [(text, name) for name, texts in NEAR_MISSES.items() for text in texts])
def test_suggest_base_model_near_miss_returns_the_known_name(text: str, name: str) -> None:
    assert suggest_base_model(text) == name


@pytest.mark.parametrize("text", NEW)
def test_suggest_base_model_new_name_returns_none(text: str) -> None:
    assert suggest_base_model(text) is None


@pytest.mark.parametrize(
    "text", ["", "model.safetensors", "epoch-000012", "x" * 10_000, "2" * 10_000, "<b>😀</b>", "\ud800"]
)
def test_find_base_model_of_other_texts_returns_none(text: str) -> None:
    assert find_base_model(text) is None
