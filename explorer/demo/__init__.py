"""How the shipped bundle's pictures and model were made; the app imports none of it."""
