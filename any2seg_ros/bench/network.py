"""Times the shipped network, and MiT networks against transformers' SegFormer in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from any2seg_ros.resources import find

if TYPE_CHECKING:
    from any2seg_ros.engine import Segmenter
    from any2seg_ros.types import Modality

SECTION = "network"
SIZE = (512, 512)
MODALITIES = 4
BACKBONES = ("mit_b0", "mit_b2")


def run() -> dict:
    """Milliseconds and ratios.

    `four_vs_segformer`: the default engine on four modalities against transformers' SegFormer with
    the same backbone on one image in torch float32, 512 x 512. Both run on the GPU if there is
    one; images and results are in CPU memory. Calls alternate, because other programs may use the
    machine; a ratio is the median over the rounds.
    """
    figures: dict = {"shipped": shipped()}
    for name in BACKBONES:
        figures[name] = against_segformer(name)
    return figures


def shipped() -> dict:
    """The shipped weights, from modality images to 512 x 288 masks, in ms."""
    from any2seg_ros.engine import Segmenter

    try:
        segmenter = Segmenter.open()
    except FileNotFoundError as error:
        return {"missing": str(error)}
    images = drive_images(segmenter)
    figures: dict = {"description": segmenter.description}
    for count in range(1, len(images) + 1):
        some = dict(list(images.items())[:count])
        figures[f"{count}_ms"] = milliseconds(partial(segmenter.segment, some, (512, 288)))
    figures["encode_4_ms"] = milliseconds(lambda: segmenter.encode(images))
    features = segmenter.encode(images)
    figures["fuse_4_ms"] = milliseconds(lambda: segmenter.fuse(features, (512, 288)))
    return figures


def drive_images(segmenter: Segmenter) -> dict[Modality, np.ndarray]:
    """Modality images of all four sensors at a moment of the demo's drive, in vocabulary order.

    Of noise the gate would leave some out, and fewer would be timed than are named.
    """
    from any2seg_ros.runtime.bag_player import BagPlayer
    from any2seg_ros.runtime.pipeline import Pipeline
    from any2seg_ros.types import Modality

    pipeline = Pipeline(segmenter)
    for step in BagPlayer(find("demo_data/streets"), pipeline).frames():
        images = {} if step.frame is None else pipeline.prepare(step.frame).images
        if len(images) == len(Modality):
            return dict(sorted(images.items()))
    raise ValueError("the demo's drive has no frame with all four sensors")


def against_segformer(name: str) -> dict:
    """Our network with random weights against transformers' SegFormer of the same size."""
    import torch
    from transformers import SegformerForSemanticSegmentation

    from any2seg_ros.engine import engines
    from any2seg_ros.network import Any2Seg, NetworkConfig
    from any2seg_ros.network.mit import MIT_CONFIGS
    from any2seg_ros.types import Modality

    width = 256 if name == "mit_b0" else 768
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    theirs = SegformerForSemanticSegmentation(segformer_config(MIT_CONFIGS[name], width)).eval()
    theirs.to(device)
    network = Any2Seg(NetworkConfig(encoder=name, width=width)).eval()
    engine = engines.make(engines.resolve("auto", "auto"), network, "auto", 0, "auto")
    images = torch.randn(MODALITIES, 3, SIZE[1], SIZE[0])
    arrays = list(images.numpy())
    whole = tuple(Modality)
    encoder = network.encoders[0]

    def ours(count: int) -> np.ndarray:
        features = engine.encode(arrays[:count], whole[:count])
        return engine.array(engine.segment(features, whole[:count])[0][0])

    with torch.inference_mode():
        times = in_turn(
            lambda: theirs(images[:1].to(device)).logits.cpu(),
            lambda: ours(1),
            lambda: ours(MODALITIES),
        )
        encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        one = images[:1].to(device)
        last = one.contiguous(memory_format=torch.channels_last)
        encoders = in_turn(
            lambda: encoder(last)[-1].cpu(),
            lambda: theirs.segformer(one).last_hidden_state.cpu(),
            clock=time.process_time if device.type == "cpu" else time.perf_counter,
        )
    medians = (round(1e3 * float(t), 2) for t in np.median(times, 0))
    return {
        "engine": engine.description,
        **dict(zip(("segformer_ms", "one_ms", "four_ms"), medians, strict=True)),
        "four_vs_segformer": _ratio(times[:, 2], times[:, 0]),
        "one_vs_four": _ratio(times[:, 1], times[:, 2]),
        "encoder_vs_transformers": _ratio(encoders[:, 0], encoders[:, 1]),
    }


def milliseconds(call: Callable[[], object], seconds: float = 3.0) -> float:
    """Median time of the calls that fit in `seconds`, at least three, after one warm-up call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(1e3 * statistics.median(times), 2)


def in_turn(
    *calls: Callable[[], object], rounds: int = 11, clock: Callable[[], float] = time.perf_counter
) -> np.ndarray:
    """Seconds (rounds, calls) of alternating calls, after one warm-up round."""
    times = np.empty((rounds + 1, len(calls)))
    for row in times:
        for i, call in enumerate(calls):
            began = clock()
            call()
            row[i] = clock() - began
    return times[1:]


def _ratio(mine: np.ndarray, theirs: np.ndarray) -> float:
    return round(float(np.median(mine / theirs)), 3)


def segformer_config(config: Any, width: int) -> Any:
    """transformers' configuration of a SegFormer with this MiT and decoder width."""
    from transformers import SegformerConfig

    settings: dict[str, Any] = dict(
        hidden_sizes=list(config.channels),
        depths=list(config.depths),
        num_attention_heads=list(config.heads),
        sr_ratios=list(config.reductions),
        decoder_hidden_size=width,
        num_labels=25,
    )
    return SegformerConfig(**settings)
