"""The index of a Diffusers pipeline: from which Python modules it takes its components."""

from typing import Any

from modelyard.comfyui.model_files.several_files import PIPELINE_INDEX

_INDEXES = (PIPELINE_INDEX, f"modular_{PIPELINE_INDEX}")
# Libraries, and the folders of ``diffusers/pipelines``, of Diffusers 0.42. Diffusers imports whatever module is named.
_MODULES = """
diffusers transformers onnxruntime.training
ace_step allegro alt_diffusion amused animatediff anyflow audio_diffusion audioldm audioldm2 aura_flow
blip_diffusion bria bria_fibo bria_fibo2 chroma chronoedit cogvideo cogview3 cogview4 consisid consistency_models
controlnet controlnet_hunyuandit controlnet_sd3 controlnet_xs cosmos dance_diffusion ddim ddpm deepfloyd_if
deprecated diffusion_gemma dit dreamlite easyanimate ernie_image flux flux2 glm_image helios hidream_image
hunyuan_image hunyuan_video hunyuan_video1_5 hunyuandit i2vgen_xl ideogram4 joyimage kandinsky kandinsky2_2
kandinsky3 kandinsky5 kandinsky6 kolors krea2 latent_consistency_models latent_diffusion latent_diffusion_uncond
latte ledits_pp llada2 longcat_audio_dit longcat_image ltx ltx2 lucy lumina lumina2 marigold mochi motif_video
musicldm nucleusmoe_image omnigen ovis_image pag paint_by_example pia pixart_alpha pndm prx qwenimage qwenimage21
repaint rfd4_proteina sana sana_video sana_wm score_sde_ve semantic_stable_diffusion shap_e skyreels_v2
spectrogram_diffusion stable_audio stable_audio_3 stable_cascade stable_diffusion stable_diffusion_3
stable_diffusion_attend_and_excite stable_diffusion_diffedit stable_diffusion_gligen stable_diffusion_ldm3d
stable_diffusion_panorama stable_diffusion_safe stable_diffusion_sag stable_diffusion_variants stable_diffusion_xl
stable_video_diffusion stochastic_karras_ve t2i_adapter text_to_video_synthesis unclip unidiffuser
versatile_diffusion visualcloze vq_diffusion wan wuerstchen z_image
"""
_KNOWN_MODULES = frozenset(_MODULES.split())


def is_pipeline_index(path: str) -> bool:
    """Return whether a file of a folder is the index of a pipeline, by its name."""
    return path.rpartition("/")[2].lower() in _INDEXES


def find_own_module(document: Any) -> str | None:
    """Return the first key of an index whose value names a module of its own, no known one; None if none does.

    A list ``_class_name`` names the file of the pipeline's own class. A component is a list of its module, its class
    and, in a modular pipeline, an object whose ``type_hint`` is such a list.
    """
    if not isinstance(document, dict):
        return None
    for key, value in document.items():
        if isinstance(value, list) and (key == "_class_name" or any(map(_is_unknown, _list_modules(value)))):
            return str(key)
    return None


def _list_modules(component: list[Any]) -> list[Any]:
    """Return what a component names as its modules, at most one of which is usual."""
    hints = [part.get("type_hint") for part in component if isinstance(part, dict)]
    return component[:1] + [hint[0] for hint in hints if isinstance(hint, list) and hint]


def _is_unknown(module: Any) -> bool:
    """Return whether it is the name of a module that is not known."""
    return isinstance(module, str) and module not in _KNOWN_MODULES
