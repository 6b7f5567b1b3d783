"""Which of several topics is the sensor's, by those that real vehicles have."""

from __future__ import annotations

import pytest

from any2seg_ros.bags.layout import find_layout
from any2seg_ros.types import Modality

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CLOUD, INFO = "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/CameraInfo"
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
ISAAC = {
    "/front_stereo_camera/left/image_raw": IMAGE,
    "/front_stereo_camera/left/camera_info": K,
    "/front_stereo_camera/right/image_raw": IMAGE,
    "/front_stereo_camera/right/camera_info": K,
    "/front_stereo_camera/depth/ground_truth": IMAGE,
    "/back_stereo_camera/left/image_raw": IMAGE,
    "/back_stereo_camera/left/camera_info": K,
    "/front_3d_lidar/lidar_points": P,
}
GAZEBO = {
    "/rgbd_camera/image": IMAGE,
    "/rgbd_camera/depth_image": IMAGE,
    "/rgbd_camera/points": P,
    "/rgbd_camera/camera_info": K,
    "/semantic/labels_map": IMAGE,
    "/semantic/colored_map": IMAGE,
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
        (
            {f"{CC}/color/image_raw": IMAGE, f"{CC}/color/camera_info": K,
             f"{CC}/depth/image_rect_raw": IMAGE, f"{CC}/depth/camera_info": K,
             f"{CC}/aligned_depth_to_color/image_raw": IMAGE,
             f"{CC}/aligned_depth_to_color/camera_info": K},
            [],
            {"rgb": f"{CC}/color/image_raw", "depth": f"{CC}/aligned_depth_to_color/image_raw"},
        ),
        (
            {"/zed/zed_node/rgb/color/rect/image": IMAGE,
             "/zed/zed_node/rgb/color/rect/camera_info": K,
             "/zed/zed_node/depth/depth_registered": IMAGE, "/zed/zed_node/depth/camera_info": K},
            [],
            {"rgb": "/zed/zed_node/rgb/color/rect/image",
             "depth": "/zed/zed_node/depth/depth_registered"},
        ),
        (
            ISAAC,
            [],
            {"rgb": "/front_stereo_camera/left/image_raw",
             "depth": "/front_stereo_camera/depth/ground_truth",
             "lidar": "/front_3d_lidar/lidar_points"},
        ),
        (GAZEBO, [], {"rgb": "/rgbd_camera/image", "depth": "/rgbd_camera/depth_image"}),
        (
            {"/event_camera/events": "event_camera_msgs/msg/EventPacket",
             "/event_camera/image_raw": IMAGE, "/event_camera/camera_info": K,
             "/cam_sync/cam0/image_raw": IMAGE, "/cam_sync/cam0/camera_info": K},
            [],
            {"rgb": "/cam_sync/cam0/image_raw", "event": "/event_camera/events"},
        ),
        (
            {"/map/pointcloud_map": P, "/lio_sam/mapping/map_global": P, "/Laser_map": P,
             "/usb_cam/image_raw": IMAGE, "/usb_cam/camera_info": K},
            [],
            {"rgb": "/usb_cam/image_raw"},
        ),
        ({"/kinect/sd/image_raw/compressedDepth": COMPRESSED}, [],
         {"depth": "/kinect/sd/image_raw/compressedDepth"}),
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


def test_depth_is_no_ground_truth_and_a_lidar_has_no_camera():
    assert find_layout(ISAAC, counts=filled(ISAAC)).label is None
    assert find_layout(GAZEBO, counts=filled(GAZEBO)).label == "/semantic/labels_map"
    layout = find_layout({"/rgb": IMAGE, "/camera_info": INFO, "/point_cloud": CLOUD})
    assert layout.infos == {Modality.RGB: "/camera_info"} and Modality.LIDAR in layout.sensors


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


def test_messages_that_are_not_read_are_named_with_what_to_do():
    topics = {
        "/livox/lidar": "livox_ros_driver2/msg/CustomMsg",
        "/velodyne_packets": "velodyne_msgs/msg/VelodyneScan",
        "/cam/image_raw": IMAGE,
    }
    notes = find_layout(topics).notes
    assert any("/livox/lidar is livox_ros_driver2/msg/CustomMsg" in n for n in notes)
    assert any("velodyne_pointcloud" in n for n in notes)
    for kind, do in (
        ("theora_image_transport/msg/Packet", "record the compressed topic"),
        ("point_cloud_interfaces/msg/CompressedPointCloud2", "point_cloud_transport republish"),
        ("hesai_ros_driver/msg/UdpFrame", "hesai_ros_driver"),
        ("sensor_msgs/msg/PointCloud", "have its driver publish PointCloud2"),
    ):
        (note,) = find_layout({"/cam/image_raw": IMAGE, "/other": kind}).notes
        assert f"/other is {kind}, which is not read" in note and do in note
    with pytest.raises(ValueError, match="no sensor among.*have the Livox driver publish PointClo"):
        find_layout({"/livox/lidar": "livox_ros_driver2/msg/CustomMsg"})
