"""The demo: a bag is played to a node process, sensors are taken away, masks are scored."""
