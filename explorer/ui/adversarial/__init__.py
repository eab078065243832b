"""The Adversarial page: spurious concepts of a pair of classes, and pictures made with them."""
