"""Inference with OpenVINO: images side by side through the encoder, then one graph for the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from any2seg_ros import memory
from any2seg_ros.engine.features import Choices, Features, everything, stacked
from any2seg_ros.engine.graph_cache import GraphCache
from any2seg_ros.engine.graph_engine import GraphEngine, Mixing
from any2seg_ros.engine.openvino_import import ov
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network.modality_groups import group_of
from any2seg_ros.types import Modality, Subset

Shape = tuple[int, ...]

SMALL = 4096
"""Pixels of the largest features up to which threads of the fusion would wait for each other longer
than they save."""


class OpenVinoEngine(GraphEngine):
    """See `engines.Engine`. torch is imported only where a graph is not on disk (`GraphCache`).

    An encoder's graph takes one image, and all images are encoded at once: encoders that have to
    share the threads wait less for each other than threads that share an image, and one alone has
    all of them. A shared encoder has a stream for each thread for that.
    Of the rest, MFF and decoder, one graph serves a modality alone, and one all other subsets: the
    adapters' matrices are inputs, and so is which modalities are there. Many subsets at once, as in
    evaluation, are a graph of their own, whose decoder runs on all of them as a batch.
    """

    def __init__(
        self,
        source: NetworkSource,
        device: str,
        threads: int,
        precision: str,
        cache: GraphCache | None = None,
    ) -> None:
        super().__init__(source)
        self._core = ov.Core()
        self._device = "CPU" if device == "auto" else device.upper()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        if precision != "auto":
            options["INFERENCE_PRECISION_HINT"] = precision
        self._options = options
        if self._device == "CPU":  # a thread that is bound to a core waits for who else is there
            self._options["ENABLE_CPU_PINNING"] = False
        else:
            self._check_device(device)
        self._cache = cache or GraphCache(source)
        self._encoders: dict[tuple[Modality, int], ov.CompiledModel] = {}
        self._requests: dict[tuple[Modality, int], list[ov.InferRequest]] = {}
        self._decoders: dict[tuple[tuple[int, ...], ...], ov.InferRequest] = {}
        self._places: list[np.ndarray] = []
        self._mixing: dict[Mixing, list[np.ndarray]] = {}
        version = ov.get_version().split("-")[0]
        self.description = f"OpenVINO {version} on {self._device}, precision {precision}"

    def _check_device(self, name: str) -> None:
        have = self._core.available_devices  # loads the code of all kinds of devices
        if self._device not in {*have, *(one.split(".")[0] for one in have)}:
            raise ValueError(
                f"OpenVINO has no device '{name}' here: use auto or one of {', '.join(have)}"
            )

    def subsets_to_prepare(self, modalities: Iterable[Modality]) -> list[Subset]:
        """Each modality alone, and one subset of each other size, with each modality in one."""
        ordered = sorted(set(modalities))
        alone = [(modality,) for modality in ordered]
        return [*alone, *(tuple(ordered[-count:]) for count in range(2, len(ordered) + 1))]

    def encode(
        self, images: Sequence[np.ndarray], modalities: Sequence[Modality]
    ) -> list[Features]:
        streams = 1
        if self._source.shared_encoder and len(images) > 1:
            streams = min(self._threads(images[0].shape), len(Modality))
        running: list[ov.InferRequest] = []
        for i, (image, modality) in enumerate(zip(images, modalities, strict=True)):
            whose = Modality.RGB if self._source.shared_encoder else modality
            number = i if self._source.shared_encoder else list(modalities[:i]).count(modality)
            request = self._request(image.shape, whose, streams, number)
            tensor = np.ascontiguousarray(image[None], np.float32)
            request.start_async([tensor], share_inputs=True)
            running.append(request)
        for request in running:
            request.wait()
        return [[t.data[0].copy() for t in request.output_tensors] for request in running]

    def segment(
        self,
        features: Sequence[Features],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[Sequence[Any], np.ndarray]:
        count = len(modalities)
        apart = len(set(modalities)) == count > 1
        if apart and choices in (None, everything(count)):
            return self._fuse(features, list(modalities))
        return super().segment(features, modalities, choices)

    def _fuse(
        self, features: Sequence[Features], modalities: list[Modality]
    ) -> tuple[Any, np.ndarray]:
        """`segment` of one subset of several modalities, each in its place among all of them."""
        everyone = tuple(Modality)
        if not self._places:
            self._places = [np.zeros((len(everyone), *f.shape), np.float32) for f in features[0]]
        for place, scale in zip(self._places, zip(*features, strict=True), strict=True):
            place[[m for m in everyone if m not in modalities]] = 0
            for modality, feature in zip(modalities, scale, strict=True):
                place[modality] = feature
        present = np.array([[m in modalities for m in everyone]])
        mixing = (group_of(len(modalities)), *everyone) if self._source.has_adapters else ()
        logits, weights = self._decoded([*self._places, *self._matrices(mixing)], None, present)
        return logits, weights[:, modalities]

    def _decode(
        self, features: Sequence[Features], choices: Choices, mixing: Mixing
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._decoded([*stacked(features), *self._matrices(mixing)], choices)

    def _decoded(
        self, arrays: list[np.ndarray], choices: Choices | None, *present: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        shapes = [array.shape for array in arrays]
        key = (*shapes, *(choices or ()))
        if key not in self._decoders:
            self._decoders[key] = self._decoder(shapes, choices)
        inputs = [*arrays, *present]
        logits, weights = self._decoders[key].infer(inputs, share_inputs=True).values()
        return logits, weights

    def _decoder(self, shapes: Sequence[Shape], choices: Choices | None) -> ov.InferRequest:
        count = shapes[0][0]

        def make() -> ov.Model:
            from any2seg_ros.engine.conversion import convert
            from any2seg_ros.engine.graphs import DecoderGraph

            graph = DecoderGraph(self._source.network, count, choices)
            return convert(graph, shapes, count if choices is None else 0)

        name = name_of("fusion" if choices is None else "decoder", [*shapes[:4], *(choices or ())])
        small = self._device == "CPU" and np.prod(shapes[0][2:]) <= SMALL
        options = {"INFERENCE_NUM_THREADS": 1} if small else {}
        return self._compiled(name, make, options).create_infer_request()

    def _matrices(self, mixing: Mixing) -> list[np.ndarray]:
        if mixing not in self._mixing:
            self._mixing[mixing] = super()._matrices(mixing)
        return self._mixing[mixing]

    def _request(
        self, shape: Shape, modality: Modality, streams: int, number: int
    ) -> ov.InferRequest:
        """The request so numbered of a modality's encoder that runs in so many streams."""
        own = self._requests.setdefault((modality, streams), [])
        while number >= len(own):
            own.append(self._encoder(shape, modality, streams).create_infer_request())
        return own[number]

    def _encoder(self, shape: Shape, modality: Modality, streams: int) -> ov.CompiledModel:
        def make() -> ov.Model:
            from any2seg_ros.engine.conversion import convert
            from any2seg_ros.engine.graphs import EncoderGraph

            return convert(EncoderGraph(self._source.network, modality), [(1, *shape)])

        key = modality, streams
        if key not in self._encoders:
            name = name_of(f"encoder_{modality.label}", [shape])
            self._encoders[key] = self._compiled(name, make, {"NUM_STREAMS": streams})
        return self._encoders[key]

    def _threads(self, shape: Shape) -> int:
        """How many threads there are to encode with; one an image on other devices."""
        if self._device != "CPU":
            return len(Modality)
        return int(self._encoder(shape, Modality.RGB, 1).get_property("INFERENCE_NUM_THREADS"))

    def _compiled(
        self, name: str, make: Callable[[], ov.Model], options: Mapping[str, Any]
    ) -> ov.CompiledModel:
        graph = self._cache.model(name, make)
        compiled = self._core.compile_model(graph, self._device, {**self._options, **options})
        memory.trim()  # each time: what compiling needs would add up
        return compiled

    def prepared(self) -> None:
        """Give back the memory of what only compiling needed."""
        self._cache.release()


def name_of(graph: str, key: Sequence[Shape]) -> str:
    """A graph's name on disk; `key` is all that shapes it: of its inputs, and the choices."""
    parts = ["x".join(map(str, part)) for part in key]
    told = "_".join(parts)
    if len(told) > 40:
        told = f"{parts[0]}_{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    return f"{graph}_{told}"
