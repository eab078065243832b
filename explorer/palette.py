"""Colours that charts, pages and exported files share."""

# Okabe & Ito's colour-blind-safe palette; yellow and black left out, they vanish on one ground
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
CLUSTER_COLOURS = (*COLOURS, "#8b919a")
"""One colour a concept cluster, heaviest first; the last is for all smaller ones."""
