"""The claims of the paper, a module each, named as in addresses; see `explorer.evidence.claim`."""
