"""Permissions for SROS2 name the endpoints of the node, all of them and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402

from any2seg_ros.node import permissions  # noqa: E402
from any2seg_ros.node.permissions import Graph  # noqa: E402
from any2seg_ros.runtime.outputs import TOPICS  # noqa: E402


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The files of a vehicle in a namespace, with a remapped camera and without events."""
    folder = tmp_path_factory.mktemp("permissions")
    model = ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))
    values = {"event.enabled": "false", "rgb.transport": "raw"}
    arguments = ros_vehicle.arguments_of(model=model, **values)
    arguments += ["-r", "rgb/image:=/front/image_raw", "-r", "__ns:=/car"]
    words = ["--out", str(folder), "--enclave", "/perception", "--domain", "7", "--days", "30"]
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        assert permissions.main([*words, "--ros-args", *arguments]) == 0
    return folder


def topics(folder: Path, kind: str) -> list[str]:
    rule = Xml.parse(folder / "permissions.xml").find("permissions/grant/allow_rule")
    return [topic.text for topic in rule.findall(f"{kind}/topics/topic")]


def test_what_the_node_publishes_and_hears_is_allowed_by_name(written) -> None:
    said, heard = topics(written, "publish"), topics(written, "subscribe")
    assert {f"rt/car/segmenter/{name}" for name in TOPICS} <= set(said)
    assert {"rt/diagnostics", "rt/rosout", "ros_discovery_info"} <= set(said)
    assert {"rt/front/image_raw", "rt/car/rgb/camera_info", "rt/car/lidar/points"} <= set(heard)
    assert {"rt/tf", "rt/tf_static", "ros_discovery_info"} <= set(heard)
    assert "rq/car/segmenter/set_parametersRequest" in heard
    assert "rr/car/segmenter/set_parametersReply" in said


def test_nothing_else_is_allowed(written) -> None:
    said, heard = topics(written, "publish"), topics(written, "subscribe")
    everything = [*said, *heard]
    assert not any(sign in name for name in everything for sign in "*?[")
    assert not any("event" in name and "parameter" not in name and "transition" not in name
                   for name in everything)  # fmt: skip
    assert not any(name.startswith("rt/front") for name in said)
    assert len(set(said)) == len(said) and len(set(heard)) == len(heard)
    grant = Xml.parse(written / "permissions.xml").find("permissions/grant")
    assert grant.findtext("default") == "DENY"
    assert grant.findtext("subject_name") == "CN=/perception"
    assert grant.findtext("allow_rule/domains/id") == "7"
    begins, ends = (
        datetime.fromisoformat(grant.findtext(f"validity/{name}"))
        for name in ("not_before", "not_after")
    )
    assert (ends - begins).days == 30 and begins <= datetime.utcnow()


def test_the_policy_for_sros2_says_the_same(written) -> None:
    profile = Xml.parse(written / "policy.xml").find("enclaves/enclave/profiles/profile")
    assert dict(profile.attrib) == {"ns": "/car", "node": "segmenter"}
    assert Xml.parse(written / "policy.xml").find("enclaves/enclave").get("path") == "/perception"
    published = [t.text for t in profile.findall("topics[@publish='ALLOW']/topic")]
    heard = [t.text for t in profile.findall("topics[@subscribe='ALLOW']/topic")]
    served = [s.text for s in profile.findall("services[@reply='ALLOW']/service")]
    assert {f"rt{t}" for t in published} == {
        t for t in topics(written, "publish") if t.startswith("rt/")
    }
    assert {f"rt{t}" for t in heard} == {
        t for t in topics(written, "subscribe") if t.startswith("rt/")
    }
    assert {f"rq{s}Request" for s in served} == {
        t for t in topics(written, "subscribe") if t.startswith("rq/")
    }


def test_clients_ask_and_hear_answers() -> None:
    text = permissions.permissions_xml(
        Graph((), (), ("/a/serve",), ("/b/ask",)), "/e", 0, datetime(2026, 1, 1), datetime.max
    )
    rule = Xml.fromstring(text).find("permissions/grant/allow_rule")
    names = {
        kind: [t.text for t in rule.findall(f"{kind}/topics/topic")]
        for kind in ("publish", "subscribe")
    }
    assert names["publish"] == ["ros_discovery_info", "rr/a/serveReply", "rq/b/askRequest"]
    assert names["subscribe"] == ["ros_discovery_info", "rq/a/serveRequest", "rr/b/askReply"]


def test_arguments_that_are_none_end_in_a_line(tmp_path, capsys) -> None:
    words = ["--out", str(tmp_path), "--ros-args", "-p", "model"]
    assert permissions.main(words) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_the_file_can_be_signed_as_the_guide_says(written, tmp_path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca",
    )  # fmt: skip
    file = str(written / "permissions.xml")
    openssl(
        "smime", "-sign", "-text", "-in", file, "-out", "permissions.p7s", "-signer", "ca.pem",
        "-inkey", "ca.key",
    )  # fmt: skip
    openssl("smime", "-verify", "-text", "-in", "permissions.p7s", "-CAfile", "ca.pem")
