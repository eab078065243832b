"""The Image page: one picture, its concepts, and where texts come from."""
