"""One picture through the lens: reading, maps, segmentation, discovery."""
