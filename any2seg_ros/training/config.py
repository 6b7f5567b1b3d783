"""What a training run is made of, read from YAML; an unknown key is one clear error."""

from __future__ import annotations

import operator
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from any2seg_ros.datasets import Labelling
from any2seg_ros.network import NetworkConfig
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.types import Modality

VARIANTS = ("full", "random", "single")

RANGES: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    (
        "1 or more",
        lambda value: value >= 1,
        "steps batch size validate_every checkpoint_every network.classes network.width "
        "augmentation.zoom augmentation.stretch losses.class_limit losses.stride",
    ),
    (
        "0 or more",
        lambda value: value >= 0,
        "seed threads loaders frozen_stages network.refine data.val_frames augmentation.crop "
        "optimizer.rate optimizer.encoder_factor optimizer.weight_decay optimizer.warm_up "
        "optimizer.power optimizer.clip losses.subsets_from losses.class_power "
        "losses.distillation losses.intra_modal losses.inter_modal",
    ),
    ("above 0", lambda value: value > 0, "losses.distillation_temperature"),
    (
        "from 0 to 1",
        lambda value: 0 <= value <= 1,
        "blend_share network.dropout optimizer.average losses.ohem augmentation.flip "
        "augmentation.jitter augmentation.rgb_corruption augmentation.depth_corruption "
        "augmentation.lidar_corruption augmentation.event_corruption augmentation.foreign",
    ),
)
"""What numbers may be: in words, as a condition, and the keys that it is for."""


@dataclass(frozen=True)
class TrainSet:
    """One of the data sets that are trained on; a path alone stands for all the defaults."""

    path: str
    """Root of a data set, a folder of labelled images, or a bag."""
    share: float = 0.0
    """Share of every batch, relative to the others'; 0 for as many as it has frames."""
    split: str = ""
    """Its split, if another than `train_split`."""
    labels: tuple[str, ...] = ()
    """Of a bag: folders of label images, `<stamp in ns>.png`; further ones narrow the first."""
    label_map: tuple[str, ...] = ()
    """What label ids mean, for each of `labels`, or for a folder of images."""
    confidence: str = ""
    """Of a bag: folder of how sure the labels are, 255 for 1: pixels count as much."""
    sure: float = 0.5
    """Labels of less confidence are not trained on."""
    topics: tuple[str, ...] = ()
    """Of a bag: what a topic is, as rgb=/camera/image_raw."""
    taught: bool = True
    """Whether `losses.teacher` knows such data."""

    def labelling(self) -> Labelling:
        """The labels beside the data."""
        folders = tuple(Path(folder) for folder in self.labels)
        confidence = Path(self.confidence) if self.confidence else None
        sure = self.sure if confidence else 0.0
        return Labelling(folders, self.label_map, confidence, sure)


@dataclass(frozen=True)
class DataConfig:
    """Where frames come from."""

    train: tuple[TrainSet, ...] = (TrainSet("data/benchmark"),)
    """The data sets that are trained on together: paths, or mappings with what follows."""
    val: str = "data/benchmark"
    """Root of the data set that is validated on."""
    train_split: str = "train"
    """Split of the `train` roots; a bag has none."""
    val_split: str = "val"
    """Split of the `val` root."""
    val_frames: int = 0
    """Frames to validate on, evenly spread; 0 for all."""
    cache: str = "runs/cache"
    """Folder of the placed frames."""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with warm-up; no weight decay on parameters of one dimension."""

    rate: float = 2e-3
    """Learning rate of the decoder."""
    encoder_factor: float = 0.25
    """The learning rate of encoders and adapters relative to the decoder's."""
    weight_decay: float = 0.01
    """AdamW's; none on biases, norms and other parameters of one dimension."""
    warm_up: int = 50
    """Steps in which the rate rises from a tenth."""
    schedule: str = "cosine"
    """How the rate falls to 0 from the first step to the last, the warm-up's steps, too: cosine, or
    poly: (1 - step / steps) to `power`."""
    power: float = 0.9
    """Exponent of poly."""
    clip: float = 5.0
    """Largest norm of the gradient; 0 for no limit."""
    average: float = 0.998
    """Decay of the exponential moving average of the weights that is kept; 0 for none."""

    def __post_init__(self) -> None:
        if self.schedule not in ("cosine", "poly"):
            raise ValueError(f"unknown schedule '{self.schedule}': use cosine or poly")


@dataclass(frozen=True)
class LossConfig:
    """What is minimised, and how much of each."""

    variants: tuple[str, ...] = VARIANTS
    """The subsets that every sample is trained with in each step: full, random (any non-empty
    subset), single (one modality). The encoder's pass is shared."""
    variant_shares: tuple[float, ...] = ()
    """How much each of `variants` counts, in cross-entropy and distillation, relative to each
    other; empty for all alike."""
    subsets_from: int = 0
    """Step from which variants other than `full` are trained; before, `full` alone. A network that
    segments well with all modalities learns to do with fewer in a fraction of the steps."""
    single_shares: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """How often `single` draws rgb, depth, lidar and event, relative to each other."""
    class_power: float = 0.5
    """Classes weigh their frequency to minus this; 0 for all alike."""
    class_limit: float = 5.0
    """Largest factor by which a class may weigh more, or less, than the median class."""
    ohem: float = 1.0
    """Least share of pixels that hard example mining keeps; 1 for all."""
    distillation: float = 0.5
    """Weight of the teacher's prediction with all modalities."""
    teacher: str = ""
    """An Any2Seg checkpoint, frozen, that teaches all variants once there are several; without it
    the variant `full` teaches the others while it learns."""
    distillation_temperature: float = 1.0
    """What teacher's and student's logits are divided by for the distillation."""
    intra_modal: float = 0.0
    """Weight of L_se (LSCD)."""
    inter_modal: float = 0.0
    """Weight of L_cr (LSCD); needs a teacher that sees images."""
    text_teacher: str = "minilm"
    """Embeds the category names: minilm, or a local folder of CLIP or LanguageBind."""
    image_teacher: str = ""
    """Embeds modality images and scene descriptions: a local folder of CLIP or LanguageBind."""
    captions: str = ""
    """JSON file of scene descriptions by frame name; without it a template tells them."""
    stride: int = 2
    """Losses are taken on every so many pixels of the modality images."""

    def variants_at(self, step: int) -> tuple[str, ...]:
        """The variants that a step trains."""
        return self.variants if step >= self.subsets_from else ("full",)

    def shares_of(self, variants: tuple[str, ...]) -> tuple[float, ...]:
        """How much each of these counts; they sum to 1."""
        given = dict(zip(self.variants, self.variant_shares, strict=False))
        shares = [given.get(variant, 1.0) for variant in variants]
        return tuple(share / sum(shares) for share in shares)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.variants) - set(VARIANTS))
        if unknown or not self.variants:
            raise ValueError(f"unknown variant '{', '.join(unknown)}': use {', '.join(VARIANTS)}")
        if len(set(self.variants)) < len(self.variants):
            raise ValueError("losses.variants names one twice: give it a share of 2 instead")
        if self.teacher and not self.distillation:
            raise ValueError("losses.teacher teaches nothing while losses.distillation is 0")
        if self.teacher and self.variants == ("full",):
            raise ValueError("losses.teacher teaches nothing while full is the only variant")
        if (self.intra_modal or self.inter_modal) and self.variants[0] != "full":
            raise ValueError("LSCD is about all modalities: name full first in losses.variants")
        if self.subsets_from and "full" not in self.variants:
            raise ValueError("losses.subsets_from needs the variant full: it is trained before")
        counts = self.variant_shares
        if counts and (len(counts) != len(self.variants) or min(counts) <= 0):
            raise ValueError("losses.variant_shares must be a number above 0 for each variant")
        shares = self.single_shares
        if len(shares) != len(Modality) or min(shares) <= 0:
            raise ValueError("losses.single_shares must be four numbers above 0")
        if self.inter_modal and not self.image_teacher:
            raise ValueError("losses.inter_modal needs losses.image_teacher, a folder of weights")


@dataclass(frozen=True)
class TrainingConfig:
    """A training run. On a CPU two with the same configuration, data and threads are the same."""

    output: str = "runs/any2seg"
    """Folder of the run."""
    seed: int = 0
    """Of the random weights, and of what each step draws."""
    steps: int = 2000
    """Optimizer steps of the whole run."""
    batch: int = 8
    """Frames a step, over all processes."""
    size: tuple[int, int] = (256, 144)
    """(width, height) of the modality images."""
    initial: str = "imagenet"
    """Weights to start from: imagenet, an encoder's file or folder, an Any2Seg checkpoint, or ""
    for random ones."""
    blend: str = ""
    """An Any2Seg checkpoint that was trained from the same weights as `initial`, which is averaged
    with it: between the two lies what is nearly as good as each at what it does best (WiSE-FT,
    Wortsman et al., CVPR 2022)."""
    blend_share: float = 0.25
    """How much of `blend` there is in the average."""
    trained: str = "all"
    """all, or adapters: encoders and decoder stay as they are."""
    frozen_stages: int = 2
    """The stem and so many of EfficientNet-Lite0's first stages keep their weights."""
    amp: str = "none"
    """none, bf16 or f16 (CUDA)."""
    device: str = "auto"
    """auto, cuda or cpu; auto is the GPU where there is one."""
    validate_every: int = 200
    """Steps from one validation, which writes the weights, to the next; the last step has one."""
    checkpoint_every: int = 50
    """Steps from one state that a run can go on from to the next."""
    threads: int = 0
    """CPU threads of torch; 0 for its own choice."""
    loaders: int = 0
    """Processes that make batches; 0 for a thread, which keeps up with a CPU. A GPU wants some."""
    graphs: bool = True
    """On a GPU, without `amp` and in one process, record the encoders' passes as CUDA graphs: small
    networks wait for their launches otherwise. Costs memory."""
    shared_norms: bool = True
    """Several processes: batch norms see all of the batch. Otherwise each its share, and processes
    wait for each other once a step only; the first one's statistics are kept."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    placing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossConfig = field(default_factory=LossConfig)

    def files(self) -> dict[str, Path]:
        """The files and folders of weights and captions that it names, by key; no packages."""
        losses = self.losses
        named = {
            "initial": self.initial,
            "blend": self.blend,
            "losses.teacher": losses.teacher,
            "losses.text_teacher": losses.text_teacher,
            "losses.image_teacher": losses.image_teacher,
            "losses.captions": losses.captions,
        }
        packages = ("", "imagenet", "minilm")
        return {key: Path(name) for key, name in named.items() if name not in packages}

    def __post_init__(self) -> None:
        _check_ranges(self)
        shorter = min(self.augmentation.size(self.size))
        if self.losses.stride > shorter:
            raise ValueError(
                f"losses.stride is {self.losses.stride}: it must be {shorter} or less, the shorter "
                "side of what is trained on"
            )
        if self.trained not in ("all", "adapters"):
            raise ValueError(f"unknown trained '{self.trained}': use all or adapters")
        if self.trained == "adapters" and not self.network.adapters:
            raise ValueError("trained: adapters needs network.adapters: true")
        if self.device not in ("auto", "cuda", "cpu"):
            raise ValueError(f"unknown device '{self.device}': use auto, cuda or cpu")
        if self.amp not in ("none", "bf16", "f16"):
            raise ValueError(f"unknown amp '{self.amp}': use none, bf16 or f16")


def _check_ranges(config: TrainingConfig) -> None:
    """ValueError for the first number outside of `RANGES`."""
    for words, fits, keys in RANGES:
        for key in keys.split():
            value = operator.attrgetter(key)(config)
            if not all(map(fits, value if isinstance(value, tuple) else (value,))):
                shown = list(value) if isinstance(value, tuple) else value
                raise ValueError(f"{key} is {shown}: it must be {words}")


def load_config(path: Path) -> TrainingConfig:
    """Read a YAML file; errors name the file, the key and what it could be."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no training configuration at {path}: see config/training/")
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return config_of(content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def config_of(content: Any) -> TrainingConfig:
    """The configuration of a mapping as YAML and JSON have it; ValueError names the key."""
    return _build(TrainingConfig, content, "")


def _build(kind: type, content: Any, where: str) -> Any:
    if not isinstance(content, dict):
        raise ValueError(f"{where.rstrip('.') or 'the file'} must be a mapping of keys to values")
    types_by_name = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    for key in content:
        if key not in known:
            raise ValueError(f"unknown key '{where}{key}': use one of {', '.join(known)}")
    values = {
        key: _value(types_by_name[key], value, f"{where}{key}") for key, value in content.items()
    }
    absent = [
        name
        for name, f in known.items()
        if name not in values and f.default is MISSING and f.default_factory is MISSING
    ]
    if absent:
        raise ValueError(f"key '{where}{absent[0]}' is missing")
    return kind(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if kind is TrainSet and isinstance(value, str):
            return TrainSet(value)
        return _build(kind, value, f"{where}.")
    origin = typing.get_origin(kind)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        entries = value if isinstance(value, list) else [value]
        if typing.get_args(kind)[-1] is not Ellipsis and len(entries) != len(typing.get_args(kind)):
            raise ValueError(f"key '{where}' must have {len(typing.get_args(kind))} values")
        return tuple(_value(item, entry, where) for entry in entries)
    if origin in (typing.Union, types.UnionType):
        return value
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"key '{where}' must be {kind.__name__}, not {value!r}")
    return value
