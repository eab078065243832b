"""Two bundles side by side."""
