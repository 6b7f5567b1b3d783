"""Stand-in for ROS 2's sensor_msgs_py: point_cloud2, as far as it is used here."""
