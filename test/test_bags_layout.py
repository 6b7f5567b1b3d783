"""Finding the sensors, the ground truth and the calibration in a bag."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.bags.layout import StaticTransforms, find_layout, read_calibration
from any2seg_ros.types import Camera, Modality

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
    assert layout.notes == ()


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


class Bag:
    """A bag in memory: messages by topic, in their order."""

    path = "a bag"

    def __init__(self, *rows):
        self.rows = rows
        self.counts = {topic: sum(t == topic for t, _ in rows) for topic, _ in rows}
        kinds = {"info": INFO, "tf": "tf2_msgs/msg/TFMessage", "points": CLOUD}
        self.topics = {
            t: next((k for word, k in kinds.items() if word in t), IMAGE) for t in self.counts
        }

    def messages(self, topics):
        return (SimpleNamespace(topic=t, message=m) for t, m in self.rows if t in topics)


def of(frame):
    return SimpleNamespace(header=SimpleNamespace(frame_id=frame))


TURN = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
NEW = [410.0, 0.0, 330.0, 0.0, 0.0, 420.0, 236.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def camera_info(**change):
    fields = {
        "width": 640, "height": 480, "distortion_model": "plumb_bob", "p": NEW,
        "k": [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0], "r": np.eye(3).ravel(),
        "d": [0.1, -0.2, 0.001, 0.002, 0.0], **vars(of("camera")),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **change})


def tf(*transforms):
    return SimpleNamespace(transforms=list(transforms))


def calibration(*rows, image="/cam/image_raw", info=None, **rest):
    bag = Bag(
        ("/cam/camera_info", info or camera_info()),
        *rows,
        (image, of("camera")),
        ("/lidar/points", of("lidar")),
    )
    return read_calibration(bag, find_layout(bag.topics, counts=bag.counts), **rest)


def test_a_place_on_tf_is_heard_and_said():
    moving = [("/tf", tf(stamped("map", "base", (k, 0, 0)))) for k in range(5)]
    fixed = ("/tf", tf(stamped("base", "camera"), stamped("/base", "/lidar", (0, 0, 2))))
    found = calibration(*moving, fixed, fixed)
    np.testing.assert_allclose(found.poses[Modality.LIDAR][:3, 3], (0, 0, 2))
    assert "lidar: its place is on /tf, not on /tf_static, and taken to be fixed" in found.notes


def test_where_camera_info_has_no_frame_that_of_the_images_counts():
    fixed = ("/tf_static", tf(stamped("base", "camera"), stamped("base", "lidar", (0, 0, 2))))
    found = calibration(fixed, info=camera_info(**vars(of(""))))
    assert found.reference_frame == "camera"
    np.testing.assert_allclose(found.poses[Modality.LIDAR][:3, 3], (0, 0, 2))
    assert "the camera_info has no frame_id: that of the images counts" in found.notes


def test_what_is_static_counts_more_than_tf():
    static = ("/tf_static", tf(stamped("base", "camera"), stamped("base", "lidar", (0, 0, 2))))
    found = calibration(static, ("/tf", tf(stamped("base", "lidar", (9, 9, 9)))))
    np.testing.assert_allclose(found.poses[Modality.LIDAR][:3, 3], (0, 0, 2))
    assert found.notes == []


def test_a_sensor_that_moves_on_tf_is_placed_where_it_was_first():
    static = ("/tf_static", tf(stamped("base", "camera")))
    rows = [("/tf", tf(stamped("base", "lidar", (k, 0, 0)))) for k in range(3)]
    found = calibration(static, *rows)
    np.testing.assert_allclose(found.poses[Modality.LIDAR][:3, 3], (0, 0, 0))
    assert any(
        "moves, by 2.00 m and 0.0 degrees: its first place is used" in n for n in found.notes
    )


def test_a_lidar_without_a_place_anywhere_is_left_out_and_said():
    found = calibration(("/tf", tf(stamped("map", "base"))))
    assert Modality.LIDAR not in found.poses
    assert any("in /tf_static or /tf: the LiDAR cannot be placed" in n for n in found.notes)


STATIC = ("/tf_static", tf(stamped("camera", "lidar", (0.1, 0.2, 0.3))))


@pytest.mark.parametrize("image", ["/cam/image_rect", "/cam/image_rect_color/compressed"])
def test_a_rectified_image_is_seen_through_p_and_that_is_said(image):
    found = calibration(STATIC, image=image)
    assert found.reference == Camera(640, 480, 410.0, 420.0, 330.0, 236.0)
    assert found.cameras[Modality.RGB] == found.reference
    assert any(
        f"{image} is rectified: its geometry is P of its camera_info" in n for n in found.notes
    )
    raw = calibration(STATIC, image=image, rectified={Modality.RGB: "no"})
    assert raw.reference.fx == 500.0 and raw.notes == []
    assert calibration(STATIC).reference.fx == 500.0
    assert calibration(STATIC, rectified={Modality.RGB: "yes"}).reference.fx == 410.0


def test_what_stands_beside_a_rectified_camera_is_turned_with_it():
    info = camera_info(r=TURN.ravel())
    found = calibration(STATIC, image="/cam/image_rect", info=info)
    np.testing.assert_allclose(found.poses[Modality.LIDAR][:3, 3], TURN @ (0.1, 0.2, 0.3))
    np.testing.assert_allclose(found.poses[Modality.RGB], np.eye(4), atol=1e-12)


def test_a_rectified_image_whose_p_is_missing_has_no_view():
    with pytest.raises(ValueError, match="no usable camera_info"):
        calibration(STATIC, image="/cam/image_rect", info=camera_info(p=[0.0] * 12))
