"""Published networks written out from their definition, on dictionaries of weights by their keys.

Nothing of the package is used: `layout_*` make the keys and shapes that the authors' checkpoints
have, filled with random numbers, and `logits_*` compute what the papers' networks do with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, gelu, interpolate, layer_norm, linear

Weights = dict[str, Tensor]
B0 = (32, 64, 160, 256)
DEPTHS = (2, 2, 2, 2)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)


class Keys:
    """Collects random tensors: weights small enough that nothing explodes, norms near one."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: Weights = {}

    def draw(self, *shape: int, scale: float = 1.0, around: float = 0.0) -> Tensor:
        return around + scale * torch.randn(shape, generator=self.generator)

    def linear(self, name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        self.weights[f"{name}.weight"] = self.draw(outputs, inputs, scale=inputs**-0.5)
        if bias:
            self.weights[f"{name}.bias"] = self.draw(outputs, scale=0.1)

    def conv(
        self, name: str, inputs: int, outputs: int, kernel: int, groups: int = 1, bias: bool = True
    ) -> None:
        fan = inputs // groups * kernel * kernel
        shape = (outputs, inputs // groups, kernel, kernel)
        self.weights[f"{name}.weight"] = self.draw(*shape, scale=fan**-0.5)
        if bias:
            self.weights[f"{name}.bias"] = self.draw(outputs, scale=0.1)

    def norm(self, name: str, channels: int) -> None:
        self.weights[f"{name}.weight"] = self.draw(channels, scale=0.2, around=1.0)
        self.weights[f"{name}.bias"] = self.draw(channels, scale=0.2)

    def batch_norm(self, name: str, channels: int) -> None:
        self.norm(name, channels)
        self.weights[f"{name}.running_mean"] = self.draw(channels, scale=0.2)
        self.weights[f"{name}.running_var"] = self.draw(channels).abs() + 0.5
        self.weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def mit(self, prefix: str, first: int = 3) -> None:
        inputs = first
        for i, channels in enumerate(B0):
            n = i + 1
            self.conv(f"{prefix}patch_embed{n}.proj", inputs, channels, 7 if i == 0 else 3)
            self.norm(f"{prefix}patch_embed{n}.norm", channels)
            for j in range(DEPTHS[i]):
                block = f"{prefix}block{n}.{j}."
                self.norm(f"{block}norm1", channels)
                self.linear(f"{block}attn.q", channels, channels)
                self.linear(f"{block}attn.kv", channels, 2 * channels)
                self.linear(f"{block}attn.proj", channels, channels)
                if REDUCTIONS[i] > 1:
                    self.conv(f"{block}attn.sr", channels, channels, REDUCTIONS[i])
                    self.norm(f"{block}attn.norm", channels)
                self.norm(f"{block}norm2", channels)
                self.linear(f"{block}mlp.fc1", channels, 4 * channels)
                hidden = 4 * channels
                self.conv(f"{block}mlp.dwconv.dwconv", hidden, hidden, 3, groups=hidden)
                self.linear(f"{block}mlp.fc2", hidden, channels)
            self.norm(f"{prefix}norm{n}", channels)
            inputs = channels

    def head(self, prefix: str, width: int, classes: int) -> None:
        for i, channels in enumerate(B0):
            self.linear(f"{prefix}linear_c{i + 1}.proj", channels, width)
        self.conv(f"{prefix}linear_fuse.conv", 4 * width, width, 1, bias=False)
        self.batch_norm(f"{prefix}linear_fuse.bn", width)
        self.conv(f"{prefix}linear_pred", width, classes, 1)


def layout_mean(width: int = 768, classes: int = 25, first: int = 3, seed: int = 0) -> Weights:
    """AnySeg's and RobustSeg's keys; `first` 12 is RobustSeg's full-modality teacher."""
    keys = Keys(seed)
    keys.mit("encoder.", first)
    keys.head("decoder.", width, classes)
    keys.conv("classifier", B0[-1], classes, 1, bias=False)
    return keys.weights


def layout_cmnext(others: int = 3, seed: int = 0) -> Weights:
    keys = Keys(seed)
    keys.mit("backbone.")
    for i, channels in enumerate(B0):
        inputs, kernel = (3, 7) if i == 0 else (B0[i - 1], 3)
        embed = f"backbone.extra_downsample_layers.{i}."
        keys.conv(f"{embed}proj.module", inputs, channels, kernel)
        for k in range(others):
            keys.norm(f"{embed}norm.ln_{k}", channels)
            if others > 1:
                score = f"backbone.extra_score_predictor.{i}.score_nets.{k}"
                keys.conv(f"{score}.0", channels, channels, 3, groups=channels)
                keys.conv(f"{score}.1", channels, 1, 1)
        hidden = (8, 8, 4, 4)[i] * channels
        for j in range(DEPTHS[i]):
            block = f"backbone.extra_block{i + 1}.{j}."
            keys.batch_norm(f"{block}norm1", channels)
            keys.conv(f"{block}attn.conv0", channels, channels, 7, groups=channels)
            keys.conv(f"{block}attn.conv4", channels, channels, 1)
            keys.batch_norm(f"{block}norm2", channels)
            keys.conv(f"{block}mlp.fc1", channels, hidden, 1)
            keys.conv(f"{block}mlp.dwconv.dwconv", hidden, hidden, 3, groups=hidden)
            keys.conv(f"{block}mlp.fc2", hidden, channels, 1)
            for scale in (1, 2):
                keys.weights[f"{block}layer_scale_{scale}"] = keys.draw(channels)
            keys.weights[f"{block}c_nets.0.weight"] = keys.draw(1, 1, 3)
        keys.norm(f"backbone.extra_norm{i + 1}", channels)
        rectify = f"backbone.FRMs.{i}."
        keys.linear(f"{rectify}channel_weights.mlp.0", 4 * channels, 4 * channels)
        keys.linear(f"{rectify}channel_weights.mlp.2", 4 * channels, 2 * channels)
        keys.conv(f"{rectify}spatial_weights.mlp.0", 2 * channels, channels, 1)
        keys.conv(f"{rectify}spatial_weights.mlp.2", channels, 2, 1)
        fuse = f"backbone.FFMs.{i}."
        for k in (1, 2):
            keys.linear(f"{fuse}cross.channel_proj{k}", channels, 2 * channels)
            keys.linear(f"{fuse}cross.cross_attn.kv{k}", channels, 2 * channels, bias=False)
            keys.linear(f"{fuse}cross.end_proj{k}", 2 * channels, channels)
            keys.norm(f"{fuse}cross.norm{k}", channels)
        keys.conv(f"{fuse}channel_emb.residual", 2 * channels, channels, 1, bias=False)
        embed = f"{fuse}channel_emb.channel_embed."
        keys.conv(f"{embed}0", 2 * channels, channels, 1)
        keys.conv(f"{embed}1", channels, channels, 3, groups=channels)
        keys.conv(f"{embed}3", channels, channels, 1)
        keys.batch_norm(f"{embed}4", channels)
        keys.batch_norm(f"{fuse}channel_emb.norm", channels)
    keys.head("decode_head.", 256, 25)
    return keys.weights


def layout_stitchfusion(
    modalities: int = 4, links: str = "both", mixing: bool = True, seed: int = 0
) -> Weights:
    """`links`: both (one adapter a pair), each (one a direction), shared, or late (stages 3, 4)."""
    keys = Keys(seed)
    keys.mit("backbone.")
    pairs = [(i, j) for i in range(1, modalities + 1) for j in range(1, modalities + 1) if i != j]
    if links != "each":
        pairs = [(i, j) for i, j in pairs if i < j]
    for i, channels in enumerate(B0):
        if links == "late" and i < 2:
            continue
        names = [f"adap_t_{part}{a}{b}" for part in ("att", "mlp") for a, b in pairs]
        for j in range(DEPTHS[i]):
            for name in ("adap_t", "adap2_t") if links == "shared" else names:
                adapter = f"backbone.block{i + 1}.{j}.{name}."
                keys.linear(f"{adapter}adapter_down", channels, 8)
                keys.linear(f"{adapter}adapter_mid", 8, 8)
                keys.linear(f"{adapter}adapter_up", 8, channels)
    owner = "backbone.feature_cross." if mixing else "backbone.feature_conc."
    for i, channels in enumerate(B0):
        keys.linear(f"{owner}liner_fusion_layers.{i}", modalities * channels, channels)
        if not mixing:
            continue
        ffn = f"{owner}mix_ffn.{i}."
        for name in ("fc1", "fc2"):
            keys.linear(f"{ffn}{name}", channels, channels)
        for k in (1, 2):
            keys.conv(f"{ffn}pwconv{k}.pwconv", channels, channels, 1)
            keys.batch_norm(f"{ffn}pwconv{k}.bn", channels)
        for k in (3, 5, 7):
            keys.conv(f"{ffn}dwconv{k}.dwconv", channels, channels, k, groups=channels)
        keys.linear(f"{owner}channel_attns.{i}.fc.0", channels, channels // 16, bias=False)
        keys.linear(f"{owner}channel_attns.{i}.fc.2", channels // 16, channels, bias=False)
    keys.head("decode_head.", 256, 25)
    return keys.weights


# What the layers compute. Maps are (C, H, W), tokens (N, C): one image at a time.


def part(w: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): t for name, t in w.items() if name.startswith(prefix)}


def dense(w: Weights, name: str, x: Tensor) -> Tensor:
    return linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def convolved(w: Weights, name: str, x: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    kernel = w[f"{name}.weight"]
    groups = x.shape[0] // kernel.shape[1]
    return conv2d(x[None], kernel, w.get(f"{name}.bias"), stride, pad, groups=groups)[0]


def normed(w: Weights, name: str, tokens: Tensor, eps: float) -> Tensor:
    shape = tokens.shape[-1:]
    return layer_norm(tokens, shape, w[f"{name}.weight"], w[f"{name}.bias"], eps)


def standardised(w: Weights, name: str, x: Tensor) -> Tensor:
    """A batch norm in evaluation."""
    column = [w[f"{name}.{k}"][:, None, None] for k in ("running_mean", "running_var")]
    scaled = (x - column[0]) / (column[1] + 1e-5).sqrt()
    return scaled * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def as_tokens(x: Tensor) -> Tensor:
    return x.flatten(1).T


def as_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    return tokens.T.reshape(-1, *size)


def attention(w: Weights, x: Tensor, size: tuple[int, int], stage: int) -> Tensor:
    heads, reduction = HEADS[stage], REDUCTIONS[stage]
    query, source = dense(w, "attn.q", x), x
    if reduction > 1:
        source = as_tokens(convolved(w, "attn.sr", as_map(x, size), reduction))
        source = normed(w, "attn.norm", source, 1e-5)
    key, value = dense(w, "attn.kv", source).chunk(2, 1)
    outputs = []
    for q, k, v in zip(*(t.chunk(heads, 1) for t in (query, key, value)), strict=True):
        outputs.append(torch.softmax(q @ k.T / math.sqrt(q.shape[1]), 1) @ v)
    return dense(w, "attn.proj", torch.cat(outputs, 1))


def feed_forward(w: Weights, x: Tensor, size: tuple[int, int]) -> Tensor:
    hidden = convolved(w, "mlp.dwconv.dwconv", as_map(dense(w, "mlp.fc1", x), size), pad=1)
    return dense(w, "mlp.fc2", gelu(as_tokens(hidden)))


def embedded(w: Weights, x: Tensor, stage: int) -> tuple[Tensor, tuple[int, int]]:
    stride, pad = (4, 3) if stage == 0 else (2, 1)
    planes = convolved(w, f"patch_embed{stage + 1}.proj", x, stride, pad)
    tokens = normed(w, f"patch_embed{stage + 1}.norm", as_tokens(planes), 1e-5)
    return tokens, tuple(planes.shape[1:])


def mit_stage(w: Weights, x: Tensor, stage: int, eps: float) -> Tensor:
    tokens, size = embedded(w, x, stage)
    for j in range(DEPTHS[stage]):
        block = part(w, f"block{stage + 1}.{j}.")
        tokens = tokens + attention(block, normed(block, "norm1", tokens, eps), size, stage)
        tokens = tokens + feed_forward(block, normed(block, "norm2", tokens, eps), size)
    return as_map(normed(w, f"norm{stage + 1}", tokens, eps), size)


def head_logits(w: Weights, maps: list[Tensor]) -> Tensor:
    size = maps[0].shape[1:]
    planes = []
    for i, features in enumerate(maps):
        plane = as_map(dense(w, f"linear_c{i + 1}.proj", as_tokens(features)), features.shape[1:])
        planes.append(interpolate(plane[None], size, mode="bilinear", align_corners=False)[0])
    joined = convolved(w, "linear_fuse.conv", torch.cat(planes[::-1]))
    return convolved(w, "linear_pred", standardised(w, "linear_fuse.bn", joined).relu())


def logits_mean(w: Weights, images: list[Tensor]) -> Tensor:
    """AnySeg and RobustSeg: the plain mean of the maps of whatever images there are."""
    encoder = part(w, "encoder.")
    each = []
    for image in images:
        maps = []
        for stage in range(4):
            image = mit_stage(encoder, image, stage, 1e-6)
            maps.append(image)
        each.append(maps)
    means = [torch.stack(scale).mean(0) for scale in zip(*each, strict=True)]
    return head_logits(part(w, "decoder."), means)


def channel_normed(w: Weights, name: str, x: Tensor) -> Tensor:
    mean = x.mean(0)
    variance = (x - mean).square().mean(0)
    scaled = (x - mean) / (variance + 1e-6).sqrt()
    return scaled * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def pooled(x: Tensor, width: int) -> Tensor:
    """The mean of what is inside of the image in a window around each pixel."""
    kernel = torch.ones(1, 1, width, width, dtype=x.dtype)
    sums = conv2d(x[:, None], kernel, padding=width // 2)[:, 0]
    counts = conv2d(torch.ones_like(x[:1, None]), kernel, padding=width // 2)[:, 0]
    return sums / counts


def pooling_block(w: Weights, x: Tensor) -> Tensor:
    u = standardised(w, "norm1", x)
    z = convolved(w, "attn.conv0", u, pad=3)
    gate = convolved(w, "attn.conv4", z + pooled(z, 3) + pooled(z, 7) + pooled(z, 11)).sigmoid()
    x = x + w["layer_scale_1"][:, None, None] * (gate * u + u)
    channels = conv1d(x.mean((1, 2))[None, None], w["c_nets.0.weight"], padding=1).sigmoid()[0, 0]
    hidden = convolved(w, "mlp.fc1", standardised(w, "norm2", x))
    hidden = convolved(w, "mlp.fc2", gelu(convolved(w, "mlp.dwconv.dwconv", hidden, pad=1)))
    return channels[:, None, None] * x + w["layer_scale_2"][:, None, None] * hidden


def rectified(w: Weights, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    c = len(a)
    both = torch.cat((a, b))
    pools = torch.cat((both.mean((1, 2)), both.amax((1, 2))))
    hidden = dense(w, "channel_weights.mlp.0", pools).relu()
    by_channel = dense(w, "channel_weights.mlp.2", hidden).sigmoid()[:, None, None]
    hidden = convolved(w, "spatial_weights.mlp.0", both).relu()
    by_pixel = convolved(w, "spatial_weights.mlp.2", hidden).sigmoid()
    new_a = a + 0.5 * by_channel[c:] * b + 0.5 * by_pixel[1] * b
    new_b = b + 0.5 * by_channel[:c] * a + 0.5 * by_pixel[0] * a
    return new_a, new_b


def cross_fused(w: Weights, a: Tensor, b: Tensor, heads: int) -> Tensor:
    size, c = a.shape[1:], len(a)
    tokens = as_tokens(a), as_tokens(b)
    halves = [dense(w, f"cross.channel_proj{k + 1}", t).relu() for k, t in enumerate(tokens)]
    kept, asked = zip(*(h.split(c, 1) for h in halves), strict=True)
    contexts = []
    for k in range(2):
        key, value = dense(w, f"cross.cross_attn.kv{k + 1}", asked[k]).split(c, 1)
        pairs = zip(key.chunk(heads, 1), value.chunk(heads, 1), strict=True)
        contexts.append([torch.softmax(x.T @ y / math.sqrt(c // heads), 0) for x, y in pairs])
    looked = []
    for k in range(2):
        parts = zip(asked[k].chunk(heads, 1), contexts[1 - k], strict=True)
        answer = torch.cat([q @ context for q, context in parts], 1)
        new = dense(w, f"cross.end_proj{k + 1}", torch.cat((kept[k], answer), 1))
        looked.append(normed(w, f"cross.norm{k + 1}", tokens[k] + new, 1e-5))
    both = as_map(torch.cat(looked, 1), size)
    embed = part(w, "channel_emb.channel_embed.")
    hidden = convolved(embed, "1", convolved(embed, "0", both), pad=1).relu()
    hidden = standardised(embed, "4", convolved(embed, "3", hidden))
    return standardised(w, "channel_emb.norm", convolved(w, "channel_emb.residual", both) + hidden)


def logits_cmnext(w: Weights, images: list[Tensor]) -> Tensor:
    """CMNeXt on RGB and the others, in the order of training."""
    backbone = part(w, "backbone.")
    lead, *others = images
    maps = []
    for i in range(4):
        lead = mit_stage(backbone, lead, i, 1e-5)
        embed = part(backbone, f"extra_downsample_layers.{i}.")
        stride, pad = (4, 3) if i == 0 else (2, 1)
        others = [
            channel_normed(embed, f"norm.ln_{k}", convolved(embed, "proj.module", o, stride, pad))
            for k, o in enumerate(others)
        ]
        if len(others) > 1:
            nets = [
                part(backbone, f"extra_score_predictor.{i}.score_nets.{k}.")
                for k in range(len(others))
            ]
            scores = [
                convolved(n, "1", convolved(n, "0", o, pad=1)).sigmoid()
                for n, o in zip(nets, others, strict=True)
            ]
            others = [s * o + o for s, o in zip(scores, others, strict=True)]
        hub = torch.stack(others).amax(0)
        for j in range(DEPTHS[i]):
            hub = pooling_block(part(backbone, f"extra_block{i + 1}.{j}."), hub)
        hub = channel_normed(backbone, f"extra_norm{i + 1}", hub)
        lead, hub = rectified(part(backbone, f"FRMs.{i}."), lead, hub)
        maps.append(cross_fused(part(backbone, f"FFMs.{i}."), lead, hub, HEADS[i]))
        c, height, width = lead.shape
        # The authors reshape maps (C, H, W) as if they were (H, W, C); weights are trained so.
        if len(others) > 1:
            others = [o.reshape(height, width, c).permute(2, 0, 1) + hub for o in others]
        else:
            others = [hub]
    return head_logits(part(w, "decode_head."), maps)


def told(w: Mapping[str, Tensor], kind: str, i: int, j: int, x: Tensor) -> Tensor:
    """What modality i's tokens tell modality j."""
    shared = {"att": "adap_t.", "mlp": "adap2_t."}[kind]
    names = (f"adap_t_{kind}{i + 1}{j + 1}.", f"adap_t_{kind}{j + 1}{i + 1}.", shared)
    adapter = next(a for a in (part(dict(w), name) for name in names) if a)
    hidden = gelu(dense(adapter, "adapter_mid", dense(adapter, "adapter_down", x)))
    return dense(adapter, "adapter_up", hidden)


def stitched(w: Weights, tokens: list[Tensor], size: tuple[int, int], stage: int) -> list[Tensor]:
    linked = any(name.startswith("adap") for name in w)
    halves = (
        ("att", "norm1", lambda x: attention(w, x, size, stage)),
        ("mlp", "norm2", lambda x: feed_forward(w, x, size)),
    )
    for kind, norm, own in halves:
        tokens = [t + own(normed(w, norm, t, 1e-5)) for t in tokens]
        for i in range(len(tokens)):
            said = normed(w, norm, tokens[i], 1e-5)
            for j in range(len(tokens)):
                if i != j and linked:
                    tokens[j] = tokens[j] + told(w, kind, i, j, said)
    return tokens


def crossed(w: Weights, tokens: list[Tensor], size: tuple[int, int], stage: int) -> Tensor:
    """The fusion of StitchFusion, with the mixing FFN where the weights have one."""
    mixing = part(w, "feature_cross.")
    owner = mixing or part(w, "feature_conc.")
    joined = dense(owner, f"liner_fusion_layers.{stage}", torch.cat(tokens, 1))
    if mixing:
        gate = part(mixing, f"channel_attns.{stage}.")
        means = joined.mean(0)
        gated = joined * dense(gate, "fc.2", dense(gate, "fc.0", means).relu()).sigmoid()
        ffn = part(mixing, f"mix_ffn.{stage}.")
        x = as_map(dense(ffn, "fc1", joined), size)
        x = standardised(ffn, "pwconv1.bn", convolved(ffn, "pwconv1.pwconv", x))
        x = x + sum(convolved(ffn, f"dwconv{k}.dwconv", x, pad=k // 2) for k in (3, 5, 7))
        x = standardised(ffn, "pwconv2.bn", convolved(ffn, "pwconv2.pwconv", x))
        joined = dense(ffn, "fc2", gelu(as_tokens(x))) + gated
    return as_map(joined, size)


def logits_stitchfusion(w: Weights, images: list[Tensor]) -> Tensor:
    backbone = part(w, "backbone.")
    maps, fused = list(images), []
    for i in range(4):
        each = [embedded(backbone, m, i) for m in maps]
        tokens, size = [t for t, _ in each], each[0][1]
        for j in range(DEPTHS[i]):
            tokens = stitched(part(backbone, f"block{i + 1}.{j}."), tokens, size, i)
        tokens = [normed(backbone, f"norm{i + 1}", t, 1e-5) for t in tokens]
        fused.append(crossed(backbone, tokens, size, i))
        maps = [as_map(t, size) for t in tokens]
    return head_logits(part(w, "decode_head."), fused)
