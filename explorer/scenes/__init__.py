"""Scenes: pictures composed from cut-outs, with exact masks and captions."""
