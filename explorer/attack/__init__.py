"""Semantic adversarial pictures: concepts, scenes, trials, audit."""
