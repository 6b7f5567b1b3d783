"""What a training run is made of. `python -m any2seg_ros.training.config` prints every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from any2seg_ros.configuration import as_yaml, check, load, setting
from any2seg_ros.datasets import Labelling
from any2seg_ros.network import NetworkConfig
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.resources import weights_path
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.types import Modality

VARIANTS = ("full", "random", "single")

_WEIGHTS_THAT_INSTALL = ("", "imagenet", "minilm")
"""What a key that names weights may have instead of a path."""


@dataclass(frozen=True)
class DataSetConfig:
    """One data set; a path alone stands for all the defaults."""

    SHORT: ClassVar[str] = "path"

    path: str = setting("", "root of a data set, a folder of labelled images, or a bag")
    share: float = setting(
        0.0, "share of every batch relative to the others'; 0 for its number of frames", low=0
    )
    split: str = setting("", "its split, where it is not train_split or val_split")
    labels: tuple[str, ...] = setting(
        (), "of a bag: folders of label images, <stamp in ns>.png; further ones narrow the first"
    )
    label_map: tuple[str, ...] = setting(
        (), "what label ids mean, for each of labels or for a folder of images: a file or a name"
    )
    confidence: str = setting(
        "", "of a bag: folder of how sure the labels are, 255 for 1; pixels count as much"
    )
    sure: float = setting(0.5, "labels of less confidence are not trained on", low=0, high=1)
    topics: tuple[str, ...] = setting((), "of a bag: what a topic is, as rgb=/camera/image_raw")
    motion_compensation: str = setting(
        "", "of a bag: frame such as odom, in which the vehicle's motion is compensated"
    )
    foreign: float = setting(
        1.0, "augmentation.foreign of its frames, as a multiple of that of all", low=0, high=1
    )
    calibrates: bool = setting(
        False, "whether temperatures are fitted on its frames, as on those of val"
    )
    taught: bool = setting(True, "whether losses.teacher knows such data")

    def __post_init__(self) -> None:
        check(self)
        if not self.path:
            raise ValueError("a data set has no path")

    def labelling(self) -> Labelling:
        """The labels beside the data."""
        folders = tuple(Path(folder) for folder in self.labels)
        confidence = Path(self.confidence) if self.confidence else None
        sure = self.sure if confidence else 0.0
        return Labelling(folders, self.label_map, confidence, sure)


@dataclass(frozen=True)
class DataConfig:
    """Where frames come from."""

    train: tuple[DataSetConfig, ...] = setting(
        (DataSetConfig("data/benchmark"),),
        "the data sets to train on together: paths, or mappings with path, share, ...",
    )
    val: DataSetConfig = setting(
        DataSetConfig("data/benchmark"),
        "the data set to validate on, and to fit temperatures on: a path or a mapping",
    )
    train_split: str = setting("train", "split of the training roots; a bag has none")
    val_split: str = setting("val", "split of the validation root")
    val_frames: int = setting(0, "frames to validate on, evenly spread; 0 for all", low=0)
    cache: str = setting("runs/cache", "folder of the cached data sets")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with warm-up; no weight decay on biases, norms and other one-dimensional tensors."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "rate": "lr",
        "encoder_factor": "encoder_lr_mult",
        "warm_up": "warmup_steps",
        "clip": "grad_clip_norm",
        "average": "ema_decay",
    }

    lr: float = setting(2e-3, "learning rate of the decoder", low=0)
    encoder_lr_mult: float = setting(
        0.25, "learning rate of encoders and adapters as a multiple of lr", low=0
    )
    weight_decay: float = setting(0.01, "weight decay of AdamW", low=0)
    warmup_steps: int = setting(50, "steps over which the learning rate rises from a tenth", low=0)
    schedule: str = setting(
        "cosine",
        "decay of the learning rate to 0 over all steps, warm-up included; poly: (1 - step / "
        "steps) to the power",
        choices=("cosine", "poly"),
    )
    power: float = setting(0.9, "exponent of poly", low=0)
    grad_clip_norm: float = setting(5.0, "largest norm of the gradient; 0 for no limit", low=0)
    ema_decay: float = setting(
        0.998, "decay of the exponential moving average of the weights; 0 for none", low=0, high=1
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LossConfig:
    """What is minimized, and the weight of each term."""

    variants: tuple[str, ...] = setting(
        VARIANTS,
        "subsets that every sample is trained with in each step: full, random (any non-empty "
        "subset), single (one modality); the encoder runs once for all",
        choices=VARIANTS,
    )
    variant_shares: tuple[float, ...] = setting(
        (), "relative weights of the variants; empty for equal ones", above=0
    )
    subsets_from: int = setting(
        0, "step from which variants other than full are trained; full alone before", low=0
    )
    single_shares: tuple[float, ...] = setting(
        (1.0, 1.0, 1.0, 1.0),
        "how often single draws rgb, depth, lidar and event, relative to each other",
        above=0,
    )
    class_power: float = setting(
        0.5, "class weights are frequency to the power of minus this; 0 for equal ones", low=0
    )
    class_limit: float = setting(
        5.0, "largest ratio between a class weight and that of the median class", low=1
    )
    ohem: float = setting(
        1.0, "smallest share of pixels kept by hard example mining; 1 for all", low=0, high=1
    )
    jaccard: float = setting(
        0.0,
        "weight of the Lovasz-softmax loss, which rare and small things weigh in as much as roads; "
        "it sorts all pixels once for each class: with stride 4 it costs little",
        low=0,
    )
    distillation: float = setting(0.5, "weight of the distillation loss", low=0)
    teacher: str = setting(
        "", "frozen Any2Seg checkpoint that teaches all variants; empty: full teaches the others"
    )
    distillation_temperature: float = setting(
        1.0, "softmax temperature of the distillation loss", above=0
    )
    unimodal: float = setting(
        0.0, "weight of the teacher's features of each modality in the last variant", low=0
    )
    cross_modal: float = setting(
        0.0, "weight of the cosines between the teacher's features of two modalities", low=0
    )
    intra_modal: float = setting(0.0, "weight of L_se (LSCD)", low=0)
    inter_modal: float = setting(0.0, "weight of L_cr (LSCD); needs image_teacher", low=0)
    text_teacher: str = setting(
        "minilm", "embeds the class names: minilm, or a local folder of CLIP or LanguageBind"
    )
    image_teacher: str = setting(
        "",
        "embeds modality images and captions: a local folder of CLIP, LanguageBind, or what "
        "any2seg_ros.training.scene_teacher made",
    )
    captions: str = setting(
        "", "JSON file of scene captions by frame name; empty for captions made from the label"
    )
    class_prompt: str = setting(
        "{}", "what the text teacher reads of a class; its name takes the place of {}"
    )
    scene_prompt: str = setting(
        "a street scene{conditions} with {classes}", "caption of a frame that has none"
    )
    metric_depth: bool = setting(
        True,
        "the teacher's depth tower is given the metres that depth and LiDAR images hold; false for "
        "ready pictures, such as DELIVER's HHA",
    )
    lscd_temperature: float = setting(
        0.1, "softmax temperature of both correlations of L_cr", above=0
    )
    lscd_scale: int = setting(
        2, "which fused feature map LSCD pools, from 0 (stride 4) to 3 (stride 32)", low=0, high=3
    )
    stride: int = setting(
        2, "losses are taken on every stride-th pixel of the modality images", low=1
    )

    def variants_at(self, step: int) -> tuple[str, ...]:
        """The variants that a step trains."""
        return self.variants if step >= self.subsets_from else ("full",)

    def shares_of(self, variants: tuple[str, ...]) -> tuple[float, ...]:
        """The weights of these variants; they sum to 1."""
        given = dict(zip(self.variants, self.variant_shares, strict=False))
        shares = [given.get(variant, 1.0) for variant in variants]
        return tuple(share / sum(shares) for share in shares)

    def __post_init__(self) -> None:
        check(self)
        if not self.variants:
            raise ValueError(f"losses.variants is empty: use some of {', '.join(VARIANTS)}")
        if len(set(self.variants)) < len(self.variants):
            raise ValueError("losses.variants names one twice: give it a share of 2 instead")
        if self.teacher and not self.distillation:
            raise ValueError("losses.teacher teaches nothing while losses.distillation is 0")
        if self.teacher and self.variants == ("full",):
            raise ValueError("losses.teacher teaches nothing while full is the only variant")
        if (self.unimodal or self.cross_modal) and not self.teacher:
            raise ValueError("losses.unimodal and losses.cross_modal need losses.teacher")
        if (self.intra_modal or self.inter_modal) and self.variants[0] != "full":
            raise ValueError("LSCD compares all modalities: name full first in losses.variants")
        if self.subsets_from and "full" not in self.variants:
            raise ValueError("losses.subsets_from needs the variant full: it is trained before")
        if self.variant_shares and len(self.variant_shares) != len(self.variants):
            raise ValueError("losses.variant_shares must be a number above 0 for each variant")
        if len(self.single_shares) != len(Modality):
            raise ValueError("losses.single_shares must be four numbers above 0")
        check_prompts(self)
        if self.inter_modal and not self.image_teacher:
            raise ValueError("losses.inter_modal needs losses.image_teacher, a folder of weights")


def check_prompts(config: LossConfig) -> None:
    """ValueError for a prompt that has places which nothing fills, or none that is filled."""
    try:
        class_text = config.class_prompt.format("road")
        scene_text = config.scene_prompt.format(conditions=" at night", classes="road")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"losses.class_prompt may have {{}}, losses.scene_prompt {{conditions}} and {{classes}}"
            f", nothing else in braces ({error!r})"
        ) from None
    if "road" not in class_text or "road" not in scene_text:
        raise ValueError("losses.class_prompt needs {} and losses.scene_prompt {classes}")


@dataclass(frozen=True)
class TrainingConfig:
    """A training run. On a CPU, equal configuration, data and threads give equal weights."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "batch": "batch_size",
        "size": "image_size",
        "initial": "init_from",
        "trained": "trainable",
        "loaders": "num_workers",
        "graphs": "cuda_graphs",
        "shared_norms": "sync_batchnorm",
        "placing": "preprocessing",
    }

    output: str = setting("runs/any2seg", "folder of the run")
    seed: int = setting(
        0, "seed of initial weights, augmentation and subsets", low=0, high=2**31 - 1
    )
    steps: int = setting(2000, "optimizer steps of the whole run", low=1)
    batch_size: int = setting(8, "frames per step, over all processes", low=1)
    image_size: tuple[int, int] = setting(
        (256, 144), "width and height of the modality images", "px", low=1
    )
    init_from: str = setting(
        "imagenet",
        "initial weights: imagenet, an encoder's file or folder, an Any2Seg checkpoint, real or "
        "streets for those of the package, or empty for random ones",
    )
    blend: str = setting(
        "",
        "Any2Seg checkpoint to average init_from with (WiSE-FT, Wortsman et al., CVPR 2022); both "
        "must descend from the same weights",
    )
    blend_share: float = setting(0.25, "weight of blend in that average", low=0, high=1)
    trainable: str = setting(
        "all",
        "what is trained; encoders: the decoder is frozen; adapters: encoders and decoder are",
        choices=("all", "encoders", "adapters"),
    )
    frozen_sensors: tuple[str, ...] = setting(
        (),
        "sensors whose encoder and adapters are frozen; where the decoder is, too, each of them "
        "alone sees what it saw before",
        choices=tuple(m.label for m in Modality),
    )
    frozen_stages: int = setting(
        2, "the stem and this many first stages of EfficientNet-Lite0 are frozen", low=0
    )
    frozen_norms: bool = setting(
        False, "batch norms keep the statistics of init_from, whatever the batches look like"
    )
    amp: str = setting("none", "mixed precision; f16 needs CUDA", choices=("none", "bf16", "f16"))
    device: str = setting(
        "auto", "auto is the GPU where there is one", choices=("auto", "cuda", "cpu")
    )
    validate_every: int = setting(
        200, "steps between validations, which write the weights; the last step has one", low=1
    )
    checkpoint_every: int = setting(
        50, "steps between checkpoints that the run can resume from", low=1
    )
    threads: int = setting(0, "CPU threads of torch; 0 for its own choice", low=0)
    num_workers: int = setting(
        0, "processes that load batches; 0 for a thread, enough for a CPU; a GPU wants some", low=0
    )
    terms: str = setting(
        "", "terms that the weights may be used on; node, doctor and reports say them"
    )
    gate_frames: int = setting(
        0,
        "frames, of which sensors are broken, that the gate is fitted on at the end: it leaves out "
        "sensors that would do harm; 0 for no gate",
        low=0,
    )
    cuda_graphs: bool = setting(
        True,
        "record the encoders as CUDA graphs: faster for small networks, costs GPU memory; "
        "without amp and in one process only",
    )
    compile: bool = setting(
        False,
        "compile the encoders and the decoder (torch.compile): a step takes two thirds of the time "
        "on a CPU after some minutes of compiling; needs a C++ compiler",
    )
    sync_batchnorm: bool = setting(
        True,
        "batch norms over the batch of all processes; otherwise each over its own, and the "
        "statistics of the first are kept",
    )
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossConfig = field(default_factory=LossConfig)

    def files(self) -> dict[str, Path]:
        """The files and folders of weights and captions that it names, by key; no packages."""
        losses = self.losses
        named = {
            "init_from": self.init_from,
            "blend": self.blend,
            "losses.teacher": losses.teacher,
            "losses.text_teacher": losses.text_teacher,
            "losses.image_teacher": losses.image_teacher,
            "losses.captions": losses.captions,
        }
        return {
            k: weights_path(name) for k, name in named.items() if name not in _WEIGHTS_THAT_INSTALL
        }

    def check_trained(self, network: NetworkConfig) -> None:
        """ValueError where what is to be trained or frozen is no part of this network."""
        if self.frozen_sensors and network.shared_encoder:
            raise ValueError("frozen_sensors needs network.shared_encoder: false")
        if self.trainable == "adapters" and not network.adapters:
            raise ValueError("trainable: adapters needs network.adapters: true")

    def __post_init__(self) -> None:
        check(self)
        shorter = min(self.augmentation.size(self.image_size))
        if self.losses.stride > shorter:
            raise ValueError(
                f"losses.stride is {self.losses.stride}, but must be {shorter} or less, the "
                "shorter side of what is trained on"
            )
        losses = self.losses
        if self.network.fusion == "hub" and (
            losses.inter_modal or losses.unimodal or losses.cross_modal
        ):
            raise ValueError(
                "fusion hub has no maps of single modalities: leave losses.inter_modal, "
                "losses.unimodal and losses.cross_modal at 0"
            )
        if self.network != NetworkConfig() or self.init_from in _WEIGHTS_THAT_INSTALL:
            self.check_trained(self.network)  # otherwise the network is that of init_from


def load_config(path: Path) -> TrainingConfig:
    """The configuration in a YAML file; FileNotFoundError, ValueError: see `configuration.load`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no training configuration at {path}: see config/training/")
    return load(TrainingConfig, path)


if __name__ == "__main__":
    print(as_yaml(TrainingConfig()), end="")
