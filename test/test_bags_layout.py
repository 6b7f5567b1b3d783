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


CC, K, P = "/camera/camera", INFO, CLOUD
REAL_SENSE = {
    f"{CC}/color/image_raw": IMAGE,
    f"{CC}/color/image_raw/compressed": COMPRESSED,
    f"{CC}/color/image_raw/compressedDepth": COMPRESSED,
    f"{CC}/depth/image_rect_raw": IMAGE,
    f"{CC}/depth/image_rect_raw/compressed": COMPRESSED,
    f"{CC}/depth/image_rect_raw/compressedDepth": COMPRESSED,
    f"{CC}/infra1/image_rect_raw": IMAGE,
    f"{CC}/color/camera_info": K,
    f"{CC}/depth/camera_info": K,
    f"{CC}/infra1/camera_info": K,
    f"{CC}/depth/color/points": P,
}
OUSTER = {
    "/ouster/points": P,
    "/ouster/range_image": IMAGE,
    "/ouster/signal_image": IMAGE,
    "/ouster/nearir_image": IMAGE,
    "/ouster/reflec_image": IMAGE,
}
ZED = {
    "/zed/zed_node/rgb/image_rect_color": IMAGE,
    "/zed/zed_node/rgb/camera_info": K,
    "/zed/zed_node/left/image_rect_color": IMAGE,
    "/zed/zed_node/depth/depth_registered": IMAGE,
    "/zed/zed_node/depth/camera_info": K,
    "/zed/zed_node/confidence/confidence_map": IMAGE,
    "/zed/zed_node/point_cloud/cloud_registered": P,
}
CARLA = {
    "/carla/ego/rgb_front/image": IMAGE,
    "/carla/ego/rgb_front/camera_info": K,
    "/carla/ego/depth_front/image": IMAGE,
    "/carla/ego/depth_front/camera_info": K,
    "/carla/ego/semantic_segmentation_front/image": IMAGE,
    "/carla/ego/lidar": P,
    "/carla/ego/semantic_lidar": P,
    "/carla/ego/radar_front": P,
}
VIDEO = "foxglove_msgs/msg/CompressedVideo"
FFMPEG = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"


def filled(topics, *empty):
    return {topic: 0 if topic in empty else 10 for topic in topics}


@pytest.mark.parametrize(
    ("topics", "empty", "expected"),
    [
        (
            REAL_SENSE,
            [t for t in REAL_SENSE if t.endswith(("_raw", "color/image_raw/compressedDepth"))],
            {
                "rgb": f"{CC}/color/image_raw/compressed",
                "depth": f"{CC}/depth/image_rect_raw/compressedDepth",
            },
        ),
        (REAL_SENSE, [], {"rgb": f"{CC}/color/image_raw", "depth": f"{CC}/depth/image_rect_raw"}),
        (
            {**REAL_SENSE, "/velodyne_points": P},
            [],
            {
                "rgb": f"{CC}/color/image_raw",
                "depth": f"{CC}/depth/image_rect_raw",
                "lidar": "/velodyne_points",
            },
        ),
        (
            {"/front/image_raw": IMAGE, "/front/image_raw/compressed": COMPRESSED,
             "/front/camera_info": K},
            ["/front/image_raw"],
            {"rgb": "/front/image_raw/compressed"},
        ),
        (OUSTER, [], {"lidar": "/ouster/points"}),
        (
            {**OUSTER, "/flir/left_front/image_raw/compressed": COMPRESSED,
             "/flir/left_front/camera_info": K},
            [],
            {"rgb": "/flir/left_front/image_raw/compressed", "lidar": "/ouster/points"},
        ),
        ({**OUSTER, "/image_raw": IMAGE, "/camera_info": K}, [],
         {"rgb": "/image_raw", "lidar": "/ouster/points"}),
        (ZED, [], {"rgb": "/zed/zed_node/rgb/image_rect_color",
                   "depth": "/zed/zed_node/depth/depth_registered"}),
        (
            {"/oak/rgb/image_raw": IMAGE, "/oak/rgb/camera_info": K, "/oak/stereo/image_raw": IMAGE,
             "/oak/stereo/camera_info": K, "/oak/points": P},
            [],
            {"rgb": "/oak/rgb/image_raw", "depth": "/oak/stereo/image_raw"},
        ),
        (
            {"/rgb/image_raw": IMAGE, "/rgb/camera_info": K, "/depth/image_raw": IMAGE,
             "/depth/camera_info": K, "/ir/image_raw": IMAGE, "/points2": P},
            [],
            {"rgb": "/rgb/image_raw", "depth": "/depth/image_raw"},
        ),
        (
            CARLA,
            [],
            {"rgb": "/carla/ego/rgb_front/image", "depth": "/carla/ego/depth_front/image",
             "lidar": "/carla/ego/lidar"},
        ),
        (
            {"/dvs/events": "dvs_msgs/msg/EventArray", "/dvs/image_raw": IMAGE,
             "/dvs/camera_info": K},
            [],
            {"rgb": "/dvs/image_raw", "event": "/dvs/events"},
        ),
        (
            {"/cam_front/image_rect/compressed": COMPRESSED, "/cam_front/camera_info": K,
             "/cam_back/image_rect/compressed": COMPRESSED, "/cam_back/camera_info": K},
            [],
            {"rgb": "/cam_front/image_rect/compressed"},
        ),
        (
            {"/rear/rgb/image": IMAGE, "/main/image": IMAGE, "/main/camera_info": K},
            [],
            {"rgb": "/main/image"},
        ),
        (
            {"/thermal/image_raw": IMAGE, "/thermal/camera_info": K, "/cam/image": IMAGE,
             "/cam/camera_info": K},
            [],
            {"rgb": "/cam/image"},
        ),
        ({"/thermal/image_raw": IMAGE, "/thermal/camera_info": K}, [],
         {"rgb": "/thermal/image_raw"}),
        (
            {"/cam/image_raw/ffmpeg": FFMPEG, "/cam/image_raw/compressed": COMPRESSED,
             "/cam/camera_info": K},
            ["/cam/image_raw/compressed"],
            {"rgb": "/cam/image_raw/ffmpeg"},
        ),
        ({"/cam/video": VIDEO, "/cam/camera_info": K}, [], {"rgb": "/cam/video"}),
        (
            {"/sensing/camera/camera0/image_rect_color/compressed": COMPRESSED,
             "/sensing/camera/camera0/camera_info": K, "/sensing/lidar/top/pointcloud_raw_ex": P,
             "/perception/rois0/debug/image": IMAGE},
            [],
            {"rgb": "/sensing/camera/camera0/image_rect_color/compressed",
             "lidar": "/sensing/lidar/top/pointcloud_raw_ex"},
        ),
    ],
)  # fmt: skip
def test_of_several_topics_that_of_the_sensor_is_taken(topics, empty, expected):
    layout = find_layout(topics, counts=filled(topics, *empty))
    assert {m.label: topic for m, topic in layout.sensors.items()} == expected
    for modality, info in layout.infos.items():
        assert info.rsplit("/", 1)[0] in layout.sensors[modality]


def test_of_several_camera_infos_one_with_messages_is_taken():
    topics = {"/cam/image": IMAGE, "/cam/image/camera_info": INFO, "/cam/camera_info": INFO}
    assert find_layout(topics).infos[Modality.RGB] == "/cam/image/camera_info"
    counts = filled(topics, "/cam/image/camera_info")
    assert find_layout(topics, counts=counts).infos[Modality.RGB] == "/cam/camera_info"


def test_every_choice_is_told_with_what_was_passed_over_and_why():
    topics = {**REAL_SENSE, **OUSTER}
    counts = filled(topics, f"{CC}/color/image_raw")
    notes = "\n".join(find_layout(topics, counts=counts).notes)
    assert f"rgb: {CC}/color/image_raw/compressed was taken, passed over: " in notes
    assert f"{CC}/color/image_raw (no messages)" in notes
    assert "/ouster/range_image (an image that a LiDAR's driver makes of its cloud)" in notes
    assert (
        f"lidar: /ouster/points was taken, passed over: {CC}/depth/color/points (a depth" in notes
    )
    assert f"{CC}/color/image_raw/compressedDepth (a colour camera's)" in notes
    assert find_layout(STREETS).notes == ()


def test_messages_that_are_not_read_are_named_with_what_to_do():
    topics = {
        "/livox/lidar": "livox_ros_driver2/msg/CustomMsg",
        "/velodyne_packets": "velodyne_msgs/msg/VelodyneScan",
        "/cam/image_raw": IMAGE,
    }
    notes = find_layout(topics).notes
    assert any("/livox/lidar is livox_ros_driver2/msg/CustomMsg" in n for n in notes)
    assert any("velodyne_pointcloud" in n for n in notes)
    with pytest.raises(ValueError, match="no sensor among.*have the Livox driver publish PointClo"):
        find_layout({"/livox/lidar": "livox_ros_driver2/msg/CustomMsg"})


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
