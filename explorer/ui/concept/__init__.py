"""The Concept page: one text and the neurons that write it."""
