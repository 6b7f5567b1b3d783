"""Finding the sensors, the ground truth and the calibration in a bag."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.bags.layout import StaticTransforms, find_layout
from any2seg_ros.types import Modality

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CLOUD, INFO = "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/CameraInfo"
PACKET = "event_camera_msgs/msg/EventPacket"
STREETS = {
    "/rgb/image/compressed": COMPRESSED,
    "/rgb/camera_info": INFO,
    "/depth/image/compressedDepth": COMPRESSED,
    "/depth/camera_info": INFO,
    "/lidar/points": CLOUD,
    "/event/packets": PACKET,
    "/event/camera_info": INFO,
    "/ground_truth/label/compressed": COMPRESSED,
    "/tf_static": "tf2_msgs/msg/TFMessage",
}


def test_the_sensors_of_a_bag_are_found_by_type_and_name():
    layout = find_layout(STREETS)
    assert layout.sensors == {
        Modality.RGB: "/rgb/image/compressed",
        Modality.DEPTH: "/depth/image/compressedDepth",
        Modality.LIDAR: "/lidar/points",
        Modality.EVENT: "/event/packets",
    }
    assert layout.infos == {
        Modality.RGB: "/rgb/camera_info",
        Modality.DEPTH: "/depth/camera_info",
        Modality.EVENT: "/event/camera_info",
    }
    assert layout.label == "/ground_truth/label/compressed"


def test_names_that_vehicles_have_are_found_too():
    layout = find_layout(
        {
            "/camera/color/image_raw": IMAGE,
            "/camera/color/camera_info": INFO,
            "/camera/aligned_depth_to_color/image_raw": IMAGE,
            "/velodyne_points": CLOUD,
        }
    )
    assert layout.sensors == {
        Modality.RGB: "/camera/color/image_raw",
        Modality.DEPTH: "/camera/aligned_depth_to_color/image_raw",
        Modality.LIDAR: "/velodyne_points",
    }
    assert layout.infos[Modality.RGB] == "/camera/color/camera_info"
    assert layout.label is None


def test_what_is_chosen_overrules_the_guess():
    topics = {"/left/image_raw": IMAGE, "/right/image_raw": IMAGE, "/truth": IMAGE}
    layout = find_layout(topics, {"rgb": "/right/image_raw", "label": "/truth"})
    assert layout.sensors == {Modality.RGB: "/right/image_raw"}
    assert layout.label == "/truth"
    with pytest.raises(ValueError, match="no topic /nowhere in the bag; it has /left"):
        find_layout(topics, {"rgb": "/nowhere"})
    with pytest.raises(ValueError, match=r"/left/image_raw is sensor_msgs/msg/Image: lidar must"):
        find_layout(topics, {"lidar": "/left/image_raw"})
    with pytest.raises(ValueError, match="unknown modality 'radar'"):
        find_layout(topics, {"radar": "/truth"})


def test_a_bag_without_a_sensor_is_refused():
    with pytest.raises(ValueError, match="no sensor among the topics of the bag: /words"):
        find_layout({"/words": "std_msgs/msg/String"})


def stamped(parent: str, child: str, xyz=(0, 0, 0), q=(0, 0, 0, 1)) -> SimpleNamespace:
    translation = SimpleNamespace(**dict(zip("xyz", xyz, strict=True)))
    rotation = SimpleNamespace(**dict(zip("xyzw", q, strict=True)))
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(translation=translation, rotation=rotation),
    )


def test_transforms_are_joined_along_the_tree_in_both_directions():
    half = np.sqrt(0.5)
    tree = StaticTransforms()
    tree.add(stamped("base", "lidar", (0, 0, 2)))
    tree.add(stamped("base", "camera", (1, 0, 1), (0, 0, half, half)))
    camera_from_lidar = tree.lookup("camera", "lidar")
    # The LiDAR's origin is 1 m behind and 1 m above the camera, which looks along base's y.
    np.testing.assert_allclose(camera_from_lidar @ [0, 0, 0, 1], [0, 1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(
        tree.lookup("lidar", "camera") @ camera_from_lidar, np.eye(4), atol=1e-12
    )
    assert tree.lookup("camera", "unknown") is None
