"""The pages of findings and collections."""
