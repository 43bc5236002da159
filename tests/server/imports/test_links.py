"""Parsing of links, and the names and types that drafts get. Pure."""

import pytest

from modelyard.server.imports.sources.drafts import choose_file_name, clean_file_name, guess_model_type
from modelyard.server.imports.sources.links import (
    CivitaiLink,
    DirectLink,
    Endpoints,
    HuggingFaceLink,
    Link,
    parse_link,
)
from modelyard.server.outbound.errors import AddressRefused
from modelyard.wire.paths import parse_model_path

HF, CIVITAI = "https://huggingface.co", "https://civitai.com"
COMMIT = "1f2e3d4c5b6a79880f1e2d3c4b5a69788f1e2d3c"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (f"{HF}/studio/ink", HuggingFaceLink("studio/ink")),
        (f"{HF}/studio/ink/tree/main", HuggingFaceLink("studio/ink")),
        (f"{HF}/studio/ink/tree/v2/vae", HuggingFaceLink("studio/ink", "v2", "vae")),
        (
            f"{HF}/studio/ink/blob/main/a%20b/ink.sft",
            HuggingFaceLink("studio/ink", "main", "a b/ink.sft", is_folder=False),
        ),
        (
            f"{HF}/studio/ink/resolve/{COMMIT}/ink.sft?download=true",
            HuggingFaceLink("studio/ink", COMMIT, "ink.sft", is_folder=False),
        ),
        (
            f"{HF}/studio/ink/blob/refs%2Fpr%2F1/i.sft",
            HuggingFaceLink("studio/ink", "refs/pr/1", "i.sft", is_folder=False),
        ),
        (f"{HF}/gpt2/resolve/main/x.bin", HuggingFaceLink("gpt2", "main", "x.bin", is_folder=False)),
        ("https://hf.co/studio/ink", HuggingFaceLink("studio/ink")),
        ("hf://studio/ink/ink.sft", HuggingFaceLink("studio/ink", "main", "ink.sft", is_folder=False)),
        ("hf://models/studio/ink@v2/ink.sft", HuggingFaceLink("studio/ink", "v2", "ink.sft", is_folder=False)),
        (f"{CIVITAI}/models/111", CivitaiLink(111)),
        (f"{CIVITAI}/models/111/ink-portraits?modelVersionId=222", CivitaiLink(111, 222)),
        ("https://civitai.red/models/111", CivitaiLink(111)),
        ("https://www.civitai.com/api/v1/model-versions/222", CivitaiLink(version_id=222)),
        (f"{CIVITAI}/api/download/models/222?type=Model&format=SafeTensor", CivitaiLink(version_id=222)),
        (f"{CIVITAI}/api/download/models/222?fileId=333", CivitaiLink(version_id=222, file_id=333)),
        ("urn:air:sdxl:lora:civitai:111@222", CivitaiLink(111, 222)),
        ("air:sdxl:lora:civitai:111@222+333.safetensors", CivitaiLink(111, 222, 333)),
        ("flux1:checkpoint:civitai:111", CivitaiLink(111)),
        ("civitai:111@222", CivitaiLink(111, 222)),
        ("urn:air:flux1:unet:huggingface:studio/ink@v2", HuggingFaceLink("studio/ink", "v2")),
        ("https://models.example/a/ink.sft?x=1", DirectLink("https://models.example/a/ink.sft?x=1")),
        ("https://civitai.com.evil.example/models/111", DirectLink("https://civitai.com.evil.example/models/111")),
        ("https://notcivitai.com/models/111", DirectLink("https://notcivitai.com/models/111")),
    ],
)
def test_parse_link_each_form_is_recognized(text: str, link: Link) -> None:
    assert parse_link(text, Endpoints()) == link


@pytest.mark.parametrize(
    "text",
    [
        *(f"{HF}/datasets/studio/ink", f"{HF}/", f"{HF}/studio/ink/resolve/main", f"{HF}/stu--dio/ink"),
        f"{HF}/studio/ink/blob/main/%2e%2e/x",
        *("hf://datasets/a/b/c", "hf://studio", f"{CIVITAI}/user/ada", f"{CIVITAI}/images/5", "urn:air:a:b:civitai:x"),
        *("ink.safetensors\n", "https://ex ample.com/x"),
    ],
)
def test_parse_link_no_model_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        parse_link(text, Endpoints())


def test_parse_link_text_without_host_is_named_as_given() -> None:
    with pytest.raises(AddressRefused, match="'loras/ink' is no address"):
        parse_link("loras/ink", Endpoints())


def test_parse_link_mirror_of_the_operator_is_huggingface() -> None:
    endpoints = Endpoints(huggingface="http://mirror.studio.example:8080")
    assert parse_link("http://mirror.studio.example:8080/studio/ink", endpoints) == HuggingFaceLink("studio/ink")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("ink:portraits?.safetensors", "ink_portraits_.safetensors"),
        *(("../../etc/passwd", "passwd"), ("..\\..\\x.sft", "x.sft"), ("a..b.sft", "a_.b.sft")),
        *(("CON.safetensors", "_CON.safetensors"), (".hidden.sft", "hidden.sft"), ("a .sft", "a.sft")),
        *(
            ("", "model"),
            ("...", "model"),
            ("a\x00b\u202e.sft", "a_b_.sft"),
            ("é.sft", "é.sft"),
            ("e\u0301.sft", "é.sft"),
        ),
        ("x" * 300 + ".safetensors", "x" * 108 + ".safetensors"),
    ],
)
def test_clean_file_name_result_is_a_valid_path(name: str, clean: str) -> None:
    assert clean_file_name(name) == clean
    parse_model_path("loras", f"loras/{clean}")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        *((None, "a b.sft"), ("attachment", "a b.sft"), ('attachment; filename="x.sft"', "x.sft")),
        ("attachment; filename=x.sft; filename*=UTF-8''%C3%A9.sft", "é.sft"),
        *(('attachment; filename="../\\"x.sft"', "_x.sft"), ("attachment; filename=x.sft;y", "x.sft")),
        ("attachment; filename*=UTF-8''..%2F..%2Fx.sft", "x.sft"),
    ],
)
def test_choose_file_name_header_precedes_address(disposition: str | None, name: str) -> None:
    assert choose_file_name(disposition, "/models/a%20b.sft") == name


@pytest.mark.parametrize(
    ("path", "hints", "folder"),
    [
        *(("split_files/text_encoders/t5.safetensors", ("lora",), "text_encoders"), ("ink.sft", ("lora",), "loras")),
        *(("vae/diffusion_pytorch_model.safetensors", (), "vae"), ("wan-Q4.gguf", (), "diffusion_models")),
        *(("4x-ESRGAN.pth", (), "upscale_models"), ("sdxl.safetensors", (), "checkpoints")),
    ],
)
def test_guess_model_type_folder_precedes_words(path: str, hints: tuple[str, ...], folder: str) -> None:
    assert guess_model_type(path, hints) == folder
