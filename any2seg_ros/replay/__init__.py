"""A bag through the runtime: what the node would have published, and what if sensors had failed."""
