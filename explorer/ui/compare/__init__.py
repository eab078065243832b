"""The Compare page: pinned neurons side by side."""
