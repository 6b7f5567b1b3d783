"""The demo: a node of its own process, a bag played to it, sensors taken away, masks scored."""
