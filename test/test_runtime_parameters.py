"""Parameters: one place for defaults, words that help, and refusals with a reason."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from any2seg_ros.engine import EngineConfig
from any2seg_ros.preprocessing import HealthConfig
from any2seg_ros.resources import find
from any2seg_ros.runtime.parameters import (
    NodeParameters,
    entries,
    from_values,
    load_parameters,
    parameters_yaml,
)
from any2seg_ros.types import Modality

ROOT = Path(__file__).parents[1]


def test_the_file_is_made_from_the_dataclasses():
    assert find("config/any2seg.yaml").read_text() == parameters_yaml()


def test_the_file_states_every_parameter_with_its_default():
    text = find("config/any2seg.yaml").read_text()
    assert text.count(": ") >= len(list(entries()))
    assert load_parameters(find("config/any2seg.yaml")) == NodeParameters()


def test_the_demos_parameters_are_those_that_its_bag_needs():
    parameters = load_parameters(find("config/demo.yaml"))
    assert parameters.sensors[Modality.RGB].transport == "compressed"
    assert parameters.sensors[Modality.DEPTH].transport == "compressedDepth"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"deadlin": 0.1}, "unknown key 'deadlin': did you mean 'deadline'?"),
        ({"rgb": {"windw": 0.1}}, "unknown key 'rgb.windw': did you mean 'rgb.window'?"),
        ({"lidar": {"window": 9.0}}, "lidar.window is 9.0, but must be from 0 to 2 s"),
        ({"deadline": {"a": 1}}, "unknown key 'deadline.a'"),
        ({"deadline": 1}, "deadline is 1, but must be a number such as 1.0"),
        ([1], "unknown key 'ros__parameters'"),
    ],
)
def test_a_wrong_parameter_in_a_file_is_named_with_the_file(section, words, tmp_path):
    path = tmp_path / "vehicle.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": section}}))
    with pytest.raises(ValueError) as told:
        load_parameters(path)
    assert str(path) in str(told.value) and words in str(told.value)


def test_the_nodes_own_section_wins_over_that_for_all_nodes(tmp_path):
    path = tmp_path / "vehicle.yaml"
    sections = {"segmenter": {"deadline": 0.2}, "/**": {"deadline": 0.1, "jump": 1.0}}
    path.write_text(yaml.safe_dump({k: {"ros__parameters": v} for k, v in sections.items()}))
    parameters = load_parameters(path)
    assert (parameters.deadline, parameters.jump) == (0.2, 1.0)


def test_a_dump_of_a_node_in_a_namespace_is_read_without_what_is_ros_s(tmp_path):
    dump = {
        "deadline": 0.2,
        "use_sim_time": False,
        "start_type_description_service": True,
        "diagnostic_updater": {"period": 1.0, "use_fqn": True},
        "qos_overrides": {"/rgb/image": {"subscription": {"depth": 10}}},
    }
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.safe_dump({"/car/segmenter": {"ros__parameters": dump}}))
    assert load_parameters(path).deadline == 0.2
    two = dict.fromkeys(("/a/segmenter", "/b/segmenter"), {"ros__parameters": dump})
    path.write_text(yaml.safe_dump(two))
    with pytest.raises(ValueError, match="several nodes: /a/segmenter, /b/segmenter"):
        load_parameters(path)


def test_every_parameter_is_described():
    assert all(len(entry.text) > 8 for entry in entries())


def test_defaults_are_those_of_the_classes_that_they_configure():
    parameters = NodeParameters()
    assert parameters.engine_config() == EngineConfig()
    for health in parameters.pipeline_config().health.values():
        assert health == HealthConfig()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("engine", "magic", "one of auto, torch, openvino"),
        ("rgb.transport", "theora", "raw, compressed"),
        ("lidar.window", 99.0, "lidar.window is 99.0, but must be from 0 to 2 s"),
        ("dead_after", 0, "from 1"),
        ("event.type", "frames", "packet"),
        ("lidar.extrinsics", "1 2 3", "7 numbers"),
        ("lidar.extrinsics", "a b c d e f g", "numbers"),
        ("anchors", ["sonar"], "rgb, depth, lidar, event"),
        ("anchors", ["rgb", "rgb"], "twice"),
        ("width", 640, "both or none"),
        ("reference_width", 640, "reference_height: give both or none"),
        ("event.transport", "compressed", "only event.type image"),
        ("lidar.extrinsics", "0 0 0 0 0 0 0", "lidar.extrinsics: a rotation"),
    ],
)
def test_wrong_values_are_refused_with_what_they_may_be(name, value, words):
    with pytest.raises(ValueError, match=words.split()[0]) as caught:
        from_values({name: value})
    assert words in str(caught.value)


def test_what_must_go_together_can_be_set_one_after_the_other():
    assert from_values({"width": 640}, together=False).width == 640
    with pytest.raises(ValueError, match="must be from 0 to 16384 px"):
        from_values({"width": -1}, together=False)


def test_extrinsics_are_a_pose_in_metres_and_a_quaternion():
    pose = from_values({"lidar.extrinsics": "1 2 3 0 0 1 0"}).pose(Modality.LIDAR)
    assert pose is not None
    np.testing.assert_allclose(pose @ [1, 0, 0, 1], [0, 2, 3, 1], atol=1e-12)


def test_a_reference_camera_of_parameters_needs_its_focal_length():
    camera = from_values(
        {"reference_width": 640, "reference_height": 480, "reference_k": "500 500 320 240"}
    ).reference_camera()
    assert camera is not None and (camera.width, camera.fx, camera.cy) == (640, 500.0, 240.0)
    with pytest.raises(ValueError, match="reference_k"):
        from_values({"reference_width": 640, "reference_height": 480})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reference_model": "fisheye"}, "one of plumb_bob, rational_polynomial"),
        ({"reference_d": "1 1 1 1 1 1 1 1 1"}, "coefficients"),
        ({"reference_k": "0 500 320 240"}, "above 0"),
        ({"reference_k": "nan 500 320 240"}, "finite"),
    ],
)
def test_a_reference_camera_that_nothing_could_be_placed_in_is_refused(change, words):
    given = {"reference_width": 640, "reference_height": 480, "reference_k": "500 500 320 240"}
    with pytest.raises(ValueError, match=words):
        from_values(given | change)


def test_pictures_of_events_are_no_stream_of_packets():
    timing = from_values({"event.type": "image"}).synchronizer_config(0.08, False).timing
    assert not timing[Modality.EVENT].sliced and timing[Modality.EVENT].window == 0.05
    assert NodeParameters().synchronizer_config(0.08, False).timing[Modality.EVENT].sliced


def test_the_slice_of_events_is_at_least_as_long_as_what_the_network_was_trained_with():
    config = NodeParameters().synchronizer_config(0.08, simulated=False)
    assert config.timing[Modality.EVENT].window == 0.08


@pytest.mark.parametrize(
    ("replay", "simulated", "live"),
    [("auto", False, True), ("auto", True, False), ("yes", False, False), ("no", True, True)],
)
def test_stamps_alone_decide_in_replay(replay, simulated, live):
    parameters = from_values({"replay": replay})
    assert parameters.synchronizer_config(0.05, simulated).live is live


@pytest.mark.parametrize(("value", "word"), [(True, "yes"), (False, "no"), ("auto", "auto")])
def test_yes_and_no_may_come_as_the_booleans_that_yaml_makes_of_them(value, word, tmp_path):
    parameters = from_values({"replay": value, "lidar.reliable": value, "rgb.rectified": value})
    sensors = parameters.sensors
    assert parameters.replay == word
    assert sensors[Modality.LIDAR].reliable == sensors[Modality.RGB].rectified == word


def test_other_values_of_a_switch_are_refused_with_its_words():
    for value in (1, "true", [True]):
        with pytest.raises(ValueError, match="must be one of auto, yes, no"):
            from_values({"lidar.reliable": value})


def test_the_documents_name_what_can_be_changed_at_run_time():
    text = (ROOT / "docs" / "node.md").read_text()
    begin = text.index("These can be changed at run time:")
    named = re.findall(r"`([^`]+)`", text[begin : text.index("A change of any other", begin)])
    limits = {field.name for field in fields(HealthConfig)}  # named together
    live = {entry.name.partition(".") for entry in entries() if entry.live}
    expected = {
        f"<sensor>.{rest}" if dot else name for name, dot, rest in live if rest not in limits
    }
    assert set(named) == expected


ELSEWHERE = {
    "watchdog", "motion_compensation", "freeze_files",
    "autostart", "executor", "status_period", "silent_after", "diagnostics_period",
    "reference_file", "reference_pinned", "reference_frame", "reference_width",
    "reference_height", "reference_k", "reference_d", "reference_model", "replay",
    *(f"{m.label}.{name}" for m in Modality for name in ("transport", "type", "reliable")),
    *(f"{m.label}.{name}" for m in Modality for name in ("registered", "extrinsics", "rectified")),
    *(f"{m.label}.{name}" for m in Modality for name in ("topic", "camera_info")),
}  # fmt: skip
"""What the node itself reads: its tests are those of the node, inputs, geometry and replay."""

OTHER = {
    "engine": "torch", "device": "cpu", "precision": "f32", "model": "other.safetensors",
    "anchors": ["lidar"], "confidence_encoding": "32FC1", "header_frame": "reference",
    "lidar.intensity_field": "signal", "lidar.time_field": "none",
}  # fmt: skip


@pytest.mark.parametrize(
    "entry", [e for e in entries() if e.name not in ELSEWHERE], ids=lambda entry: entry.name
)
def test_every_parameter_arrives_where_it_is_used(entry):
    value = OTHER.get(entry.name)
    if isinstance(entry.default, bool):
        value = not entry.default
    elif value is None:
        assert entry.low is not None and entry.high is not None
        value = (entry.default + entry.high) / 2 if entry.default else min(entry.high, 1)
        value = type(entry.default)(value)
    size = {name: 64 for name in ("width", "height")} if entry.name in ("width", "height") else {}
    assert _used(from_values({**size, entry.name: value})) != _used(from_values(size))


def _used(parameters):
    return (
        parameters.engine_config(),
        parameters.output_config(),
        parameters.pipeline_config(),
        parameters.synchronizer_config(0.05, False),
        {m: vars(budget) for m, budget in parameters.decode_budgets().items()},
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"maximum_rate": 1e-300}, "maximum_rate is 1e-300"),
        ({"maximum_rate": 5}, "maximum_rate is 5, but must be a number such as 1.0"),
        ({"network_width": "big"}, "network_width is 'big', but must be a whole number"),
        ({"rgb.enabled": "no"}, "rgb.enabled is 'no', but must be true or false"),
        ({"lidar.extrinsics": [0, 0, 0]}, "but must be text in quotes"),
        ({"anchors": []}, "name at least one sensor"),
        ({"header_frame": "map"}, "header_frame is 'map'"),
        ({"width": 16384, "height": 16384}, "at most 50 megapixels"),
        (
            {"reference_width": 32768, "reference_height": 32768, "reference_k": "9 9 9 9"},
            "absurd size",
        ),
    ],
)
def test_values_that_would_end_the_node_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        from_values(values)
