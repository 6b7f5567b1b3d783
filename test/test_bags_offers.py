"""With which QoS a bag's topics were published."""

from __future__ import annotations

import tiny_drive

from any2seg_ros.bags import BagReader, Graph
from any2seg_ros.bags.file import BagFile
from any2seg_ros.bags.offers import differing
from any2seg_ros.inspection import inspect_bag
from any2seg_ros.messages.offers import Offer, unique

SURE, UNSURE = Offer(True, False), Offer(False, False)
LATCHED = Offer(True, True)


def test_what_a_bag_says_is_read(tmp_path):
    file = BagFile(tmp_path / "bag")
    for topic, reliable, latched in (("/a", True, True), ("/b", False, False), ("/c", True, False)):
        message = tiny_drive.info(tiny_drive.START, "camera")
        data = tiny_drive.STORE.serialize_cdr(message, "sensor_msgs/msg/CameraInfo")
        file.write(topic, "sensor_msgs/msg/CameraInfo", tiny_drive.START, data, reliable, latched)
    file.close()
    with BagReader(tmp_path / "bag") as bag:
        assert bag.offers == {"/a": (LATCHED,), "/b": (UNSURE,), "/c": (SURE,)}


def test_a_bag_that_says_nothing_has_no_offers(tmp_path):
    found = inspect_bag(tiny_drive.write(tmp_path / "bag", tiny_drive.rows(4)))
    assert {stats.qos for stats in found.topics.values()} == {""}
    assert not any("QoS" in problem for problem, _ in found.problems)


def test_publishers_that_differ_are_named_with_both_sides():
    assert differing("/t", (SURE,)) is None and differing("/t", ()) is None
    problem, mend = differing("/t", unique((UNSURE, LATCHED, UNSURE)), keeps=True)
    assert "(reliable, transient local) and (best effort, volatile)" in problem
    assert "asks for (best effort, volatile)" in mend and "second subscription" in mend


def test_a_sensor_whose_publishers_differ_is_a_problem(tmp_path):
    path = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(4))
    offers = {"/lidar/points": (SURE, UNSURE), "/rgb/camera_info": (LATCHED,)}
    found = inspect_bag(path, None, Graph({}, offers))
    assert found.topics["/lidar/points"].qos == "reliable and best effort"
    assert found.topics["/rgb/camera_info"].qos == "reliable, latched"
    said = [problem for problem, _ in found.problems]
    assert any("publishers of /lidar/points offer different QoS" in one for one in said)
    assert not any("camera_info" in one for one in said)
