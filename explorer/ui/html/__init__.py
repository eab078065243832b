"""Pieces of HTML and plots that several pages share."""
