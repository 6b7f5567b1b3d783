"""Stand-in for ROS 2's sensor_msgs_py: the parts of point_cloud2 that are used here."""
