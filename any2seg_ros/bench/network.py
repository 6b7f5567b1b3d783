"""Times the network: the shipped one, and MiT's against transformers' SegFormer in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

SECTION = "network"
SIZE = (512, 512)
MODALITIES = 4
BACKBONES = ("mit_b0", "mit_b2")


def run() -> dict:
    """Milliseconds and ratios; `four_vs_segformer` is the default engine on four modalities against
    transformers' SegFormer with the same backbone on one image in torch float32, 512 x 512."""
    figures: dict = {"shipped": shipped()}
    for name in BACKBONES:
        figures[name] = against_segformer(name)
    return figures


def shipped() -> dict:
    """The weights that come with the package, from modality images to 512 x 288 masks."""
    from any2seg_ros.engine import Segmenter
    from any2seg_ros.modalities import Modality

    try:
        segmenter = Segmenter.open()
    except FileNotFoundError as error:
        return {"missing": str(error)}
    width, height = segmenter.size
    generator = np.random.default_rng(0)
    images = {m: generator.standard_normal((3, height, width)).astype("f4") for m in Modality}
    figures: dict = {"description": segmenter.description}
    for count in range(1, len(images) + 1):
        some = dict(list(images.items())[:count])
        figures[f"{count}_ms"] = milliseconds(partial(segmenter.segment, some, (512, 288)))
    figures["encode_4_ms"] = milliseconds(lambda: segmenter.encode(images))
    maps = segmenter.encode(images)
    figures["fuse_4_ms"] = milliseconds(lambda: segmenter.fuse(maps, (512, 288)))
    return figures


def against_segformer(name: str) -> dict:
    """Ratios of our network with random weights to transformers' SegFormer of the same size."""
    import torch
    from transformers import SegformerForSemanticSegmentation

    from any2seg_ros.engine import engines
    from any2seg_ros.network import Any2Seg, NetworkConfig
    from any2seg_ros.network.mit import MIT_CONFIGS

    width = 256 if name == "mit_b0" else 768
    theirs = SegformerForSemanticSegmentation(_their_config(MIT_CONFIGS[name], width)).eval()
    network = Any2Seg(NetworkConfig(encoder=name, width=width)).eval()
    engine = engines.make(engines.resolve("auto", "auto"), network, "auto", 0, "auto")
    images = torch.randn(MODALITIES, 3, SIZE[1], SIZE[0])
    array = images.numpy()
    with torch.inference_mode():
        segformer = milliseconds(lambda: theirs(images[:1]))
        network.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        last = images[:1].contiguous(memory_format=torch.channels_last)
        encoders = ratio(lambda: network.encoder(last), lambda: theirs.segformer(images[:1]))
    one = milliseconds(lambda: engine.segment(engine.encode(array[:1])))
    four = milliseconds(lambda: engine.segment(engine.encode(array)))
    return {
        "engine": engine.description,
        "segformer_ms": segformer,
        "one_ms": one,
        "four_ms": four,
        "four_vs_segformer": round(four / segformer, 3),
        "one_vs_four": round(one / four, 3),
        "encoder_vs_transformers": encoders,
    }


def milliseconds(call: Callable[[], object], seconds: float = 3.0) -> float:
    """Median over the calls that fit in `seconds`, at least three, after one that is not timed."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(1e3 * statistics.median(times), 2)


def ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 7) -> float:
    """Median CPU time of `ours` over that of `theirs`, called in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((ours, theirs), times, strict=True):
            began = time.process_time()
            call()
            taken.append(time.process_time() - began)
    return round(statistics.median(times[0]) / statistics.median(times[1]), 3)


def _their_config(config: Any, width: int) -> Any:
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
