"""The lifecycle node: the only room that knows rclpy."""
