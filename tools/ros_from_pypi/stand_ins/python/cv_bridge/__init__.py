"""Stand-in for ROS 2's cv_bridge: sensor_msgs images to and from OpenCV's arrays."""

from cv_bridge.core import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
