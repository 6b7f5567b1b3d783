"""The node without ROS: from a message to what is published of it, for vehicle and replay."""
