"""The Evidence page: the claims of the paper, measured on a bundle."""
