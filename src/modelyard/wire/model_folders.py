"""The folders below a ComfyUI models folder that hold models: ComfyUI's own, and those of well-known custom nodes.

The page's list (``web/src/generated/modelTypes.ts``) and ``docs/reference/model-folders.md`` are written from here.
"""

import re
from dataclasses import dataclass

from modelyard.wire.texts.typing_errors import MIN_TYPO_LENGTH, is_typing_error

# The folders of ComfyUI core (``folder_paths.py``), aliases included, in the order in which the page offers them.
CORE_FOLDERS = (
    "checkpoints",
    "loras",
    "diffusion_models",
    "text_encoders",
    "vae",
    "controlnet",
    "embeddings",
    "upscale_models",
    "clip_vision",
    "style_models",
    "model_patches",
    "audio_encoders",
    "background_removal",
    "detection",
    "frame_interpolation",
    "geometry_estimation",
    "gligen",
    "hypernetworks",
    "latent_upscale_models",
    "optical_flow",
    "photomaker",
    "t2i_adapter",
    "vae_approx",
    "unet",
    "clip",
)

# ComfyUI's folder of models that are folders. No model of one file belongs into it.
DIFFUSERS_FOLDER = "diffusers"
# The folder of language models that several nodes read, most of them folders of files.
LANGUAGE_MODEL_FOLDER = "LLM"
# The folders in which a model is a folder of files, which the page offers for folders only.
FOLDER_MODEL_TYPES = (DIFFUSERS_FOLDER, LANGUAGE_MODEL_FOLDER)

# A second folder of a ComfyUI key, with another name.
KEY_BY_FOLDER = {"t2i_adapter": "controlnet"}

# Models folders of A1111 and Forge that ComfyUI names otherwise (``extra_model_paths.yaml.example``), in lower case.
A1111_FOLDERS = {
    "stable-diffusion": "checkpoints",
    "lora": "loras",
    "lycoris": "loras",
    "esrgan": "upscale_models",
    "realesrgan": "upscale_models",
    "swinir": "upscale_models",
}


@dataclass(frozen=True)
class NodeFolder:
    """A models folder that a custom node reads.

    ``is_read_directly``: the node opens files of the folder by path, so that ComfyUI's API need not list them.
    Otherwise it registers the folder with ComfyUI, which lists them.
    """

    name: str
    custom_node: str
    is_read_directly: bool = False


# The extensions of the files that ComfyUI itself lists (``folder_paths.supported_pt_extensions``).
COMFYUI_EXTENSIONS = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})


@dataclass(frozen=True)
class FormatNode:
    """A custom node that lists files of an extension that ComfyUI itself does not, under a ``key`` of its own.

    ``loader`` is the title of its node that loads such files of ``folders``.
    """

    extension: str
    custom_node: str
    key: str
    folders: tuple[str, ...]
    loader: str


FORMAT_NODES = (
    FormatNode(".gguf", "ComfyUI-GGUF", "unet_gguf", ("diffusion_models", "unet"), "Unet Loader (GGUF)"),
    FormatNode(".gguf", "ComfyUI-GGUF", "clip_gguf", ("text_encoders", "clip"), "CLIPLoader (GGUF)"),
)

# A folder that several nodes read names the best-known one.
NODE_FOLDERS = (
    NodeFolder("animatediff_models", "ComfyUI-AnimateDiff-Evolved"),
    NodeFolder("animatediff_motion_lora", "ComfyUI-AnimateDiff-Evolved"),
    NodeFolder("BiRefNet", "ComfyUI_BiRefNet_ll", is_read_directly=True),
    NodeFolder("blip", "was-node-suite-comfyui", is_read_directly=True),
    NodeFolder("CatVTON", "ComfyUI_CatVTON_Wrapper", is_read_directly=True),
    NodeFolder("CogVideo", "ComfyUI-CogVideoXWrapper", is_read_directly=True),
    NodeFolder("depthanything", "ComfyUI-DepthAnythingV2", is_read_directly=True),
    NodeFolder("depthanything3", "ComfyUI-DepthAnythingV3", is_read_directly=True),
    NodeFolder("facedetection", "facerestore_cf", is_read_directly=True),
    NodeFolder("facerestore_models", "ComfyUI-ReActor", is_read_directly=True),
    NodeFolder("grounding-dino", "comfyui_segment_anything", is_read_directly=True),
    NodeFolder("inpaint", "comfyui-inpaint-nodes"),
    NodeFolder("insightface", "ComfyUI_IPAdapter_plus", is_read_directly=True),
    NodeFolder("instantid", "ComfyUI_InstantID"),
    NodeFolder("ipadapter", "ComfyUI_IPAdapter_plus"),
    NodeFolder("layer_model", "ComfyUI-layerdiffuse", is_read_directly=True),
    NodeFolder("liveportrait", "ComfyUI-LivePortraitKJ", is_read_directly=True),
    NodeFolder("LLM", "ComfyUI-Florence2", is_read_directly=True),
    NodeFolder("llm_gguf", "ComfyUI_Searge_LLM", is_read_directly=True),
    NodeFolder("mmdets", "ComfyUI-Impact-Pack"),
    NodeFolder("onnx", "ComfyUI-Impact-Pack"),
    NodeFolder("prompt_generator", "comfyui-mixlab-nodes", is_read_directly=True),
    NodeFolder("pulid", "PuLID_ComfyUI"),
    NodeFolder("reactor", "ComfyUI-ReActor", is_read_directly=True),
    NodeFolder("rembg", "ComfyUI-Easy-Use", is_read_directly=True),
    NodeFolder("RMBG", "ComfyUI-RMBG", is_read_directly=True),
    NodeFolder("sam2", "ComfyUI-segment-anything-2", is_read_directly=True),
    NodeFolder("sams", "ComfyUI-Impact-Pack"),
    NodeFolder("SEEDVR2", "ComfyUI-SeedVR2_VideoUpscaler", is_read_directly=True),
    NodeFolder("ultralytics", "ComfyUI-Impact-Subpack"),
    NodeFolder("xlabs", "x-flux-comfyui"),
)

_separators = re.compile(r"[-_. ]+")
_node_folders = {folder.name.casefold(): folder for folder in NODE_FOLDERS}
_type_folders = {**A1111_FOLDERS, **{folder.casefold(): folder for folder in CORE_FOLDERS}}


def find_node_folder(name: str) -> NodeFolder | None:
    """Return the known folder of a custom node by its name below the models folder; None for any other name.

    Letter case is ignored: nodes that share a folder spell it differently (``LLM`` and ``llm``).
    """
    return _node_folders.get(name.casefold())


def find_type_folder(name: str) -> str | None:
    """Return the known models folder that a folder directly below ``models`` is; None for any other name.

    Letter case is ignored, and folders of A1111 are those of ComfyUI; the folder of a custom node keeps its spelling.
    """
    return _type_folders.get(name.casefold()) or (name if find_node_folder(name) else None)


def find_format_nodes(extension: str) -> list[FormatNode]:
    """Return the known custom nodes that list files of an extension in lower case; empty for ComfyUI's own."""
    return [node for node in FORMAT_NODES if node.extension == extension]


def _normalize(name: str) -> str:
    """Return a name in lower case, without separators and without a final ``s``."""
    return _separators.sub("", name.casefold()).removesuffix("s")


def is_known_folder(name: str) -> bool:
    """Return whether ComfyUI itself or a known custom node has this models folder; ComfyUI's in their exact case."""
    return name in CORE_FOLDERS or find_node_folder(name) is not None


def suggest_folder(name: str) -> str | None:
    """Return the known folder of which an unknown name is a near miss; None for a known name, or a new one.

    A near miss has another case, plural or separator, or differs from a folder of ComfyUI in two swapped letters or, if
    it is long enough, in one letter. Digits have to be equal: ``depthanything2`` is another folder than
    ``depthanything3``.
    """
    if is_known_folder(name):
        return None
    spelling = _normalize(name)
    if spelling in _folders_by_spelling:
        return _folders_by_spelling[spelling]
    return next((folder for folder in CORE_FOLDERS if is_typing_error(spelling, _normalize(folder))), None)


# Short names of node folders, such as `blip`, have too many neighbors. A folder of ComfyUI takes precedence.
_folders_by_spelling = {
    _normalize(folder): folder
    for folder in (*(each.name for each in NODE_FOLDERS if len(each.name) >= MIN_TYPO_LENGTH), *CORE_FOLDERS[::-1])
}
