"""What the rest of the app stands on: look, names of measures, access."""
