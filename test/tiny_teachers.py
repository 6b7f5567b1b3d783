"""Folders of CLIP and LanguageBind as they are published, with tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

from any2seg_ros.training import teachers

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
RANK, ALPHA = 4, 6
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


def write_clip(folder: Path) -> Path:
    """The real classes with a tiny random configuration."""
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**SMALL, "vocab_size": 31000, "eos_token_id": 102},
        vision_config={**SMALL, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(teachers._minilm_folder()).save_pretrained(folder)
    return folder


# LanguageBind's folders: config.json with LoRA's rank in the vision part and the image size as a
# list, pytorch_model.bin with peft's names, CLIP's tokenizer.


def tower(folder: Path, seed: int, old_names: bool, **vision) -> None:
    folder.mkdir(parents=True)
    text = {**SMALL, "vocab_size": 60, "max_position_embeddings": 12}
    config = {
        "model_type": f"LanguageBind{folder.name.capitalize()}",
        "projection_dim": 8,
        "text_config": {**text, "torch_dtype": None, "eos_token_id": 59},
        "vision_config": {
            **SMALL,
            "image_size": [32, 32],
            "patch_size": 16,
            "num_channels": 3,
            "add_time_attn": False,
            "lora_r": RANK,
            "lora_alpha": ALPHA,
            "lora_dropout": 0.1,
            "num_mel_bins": 0.0,
            **vision,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    model, matrices = base(seed)
    weights = {}
    for name, tensor in model.state_dict().items():
        layer = name.removeprefix("vision_model.encoder.")
        if layer == name:
            weights[name] = tensor
            continue
        stem, kind = layer.rsplit(".", 1)
        adapted = ".self_attn." in stem and not old_names
        stem = f"vision_model.encoder.base_model.model.{stem}" + (".base_layer" if adapted else "")
        weights[f"{stem}.{kind}"] = tensor
    for layer, (down, up) in matrices.items():
        for letter, tensor in (("A", down), ("B", up)):
            name = f"vision_model.encoder.base_model.model.{layer}.lora_{letter}.default.weight"
            weights[name] = tensor
    weights["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    torch.save(weights, folder / "pytorch_model.bin")
    tokenizer(folder)


def base(seed: int) -> tuple[CLIPModel, dict[str, tuple[Tensor, Tensor]]]:
    """A CLIP without LoRA, and LoRA's matrices by layer."""
    torch.manual_seed(seed)
    text = {**SMALL, "vocab_size": 60, "max_position_embeddings": 12, "eos_token_id": 2}
    model = CLIPModel(
        CLIPConfig(
            text_config=text,
            vision_config={**SMALL, "image_size": 32, "patch_size": 16},
            projection_dim=8,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    matrices = {
        f"layers.{i}.self_attn.{name}": (torch.randn(RANK, 16), torch.randn(16, RANK))
        for i in range(SMALL["num_hidden_layers"])
        for name in ("q_proj", "k_proj", "v_proj", "out_proj")
    }
    return model.eval(), matrices


def tokenizer(folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{x}</w>" for x in letters), "ro", "roa", "road</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nr o\nro a\nroa d</w>\n")


def write_languagebind(folder: Path) -> Path:
    """Both towers, the older names of peft in one, the newer in the other."""
    tower(folder / "LanguageBind_Image", 1, old_names=True)
    tower(folder / "LanguageBind_Depth", 2, old_names=False, max_depth=10)
    return folder
