"""`pip install` of the modules for machines without ROS; with ROS, colcon builds the package."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
SHARED = ("config", "demo_data", "launch", "models", "msg")
EXTRAS = ("engines", "simulation", "training", "teachers", "test", "video")


def requirements(name: str) -> list[str]:
    """The lines of a requirements file that name a package."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


def files(folder: str) -> list[tuple[str, list[str]]]:
    """The files below `folder`, to be installed below share/any2seg_ros."""
    found: dict[str, list[str]] = {}
    for path in sorted((HERE / folder).rglob("*")):
        if path.is_file():
            relative = path.relative_to(HERE)
            found.setdefault(f"share/any2seg_ros/{relative.parent}", []).append(str(relative))
    return list(found.items())


setup(
    name="any2seg_ros",
    version="0.1.0",
    description="Semantic segmentation from any subset of RGB, depth, LiDAR and events",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["any2seg_ros", "any2seg_ros.*"], exclude=["any2seg_ros.msg*"]),
    package_data={"any2seg_ros.html": ["templates/*"]},
    data_files=[entry for folder in SHARED for entry in files(folder)],
    install_requires=requirements("requirements.txt"),
    extras_require={name: requirements(f"requirements-{name}.txt") for name in EXTRAS},
    entry_points={
        "console_scripts": [
            "any2seg = any2seg_ros.cli:main",
            "segmenter = any2seg_ros.node.segmenter:main",
        ]
    },
)
