"""What the kits of layers and of losses share."""
