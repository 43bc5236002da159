"""Make a tokenizer and a diffusers pipeline of random weights, or load them.

It runs in the environment of ``make from-pretrained``. Prints as JSON the hash of each tensor, and some ids of words.
Arguments: ``make`` and a folder, or ``load`` and a repository.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

action, place = sys.argv[1:]


def make(folder: Path) -> None:
    """Write a pipeline with a small network, and the tokenizer beside it."""
    torch.manual_seed(7)
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(4, 4),
        norm_num_groups=2,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    DDPMPipeline(unet=unet, scheduler=DDPMScheduler(num_train_timesteps=10)).save_pretrained(folder)
    words = {word: number for number, word in enumerate(["[UNK]", "ink", "on", "paper"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)


def describe(name: str) -> dict[str, Any]:
    """Load the pipeline and the tokenizer; return the hash of each tensor, and the ids of some words."""
    tensors = DDPMPipeline.from_pretrained(name).unet.state_dict()
    return {
        "tensors": {key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in tensors.items()},
        "ids": AutoTokenizer.from_pretrained(name)("paper on ink and paper")["input_ids"],
    }


if action == "make":
    make(Path(place))
sys.stdout.write(json.dumps(describe(place)))
