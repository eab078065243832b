"""Read the neurons of CLIP through their second-order effects.

Axis names, used in every signature, docstring and einsum of this package:
``image layer neuron path token embed text``. A *path* is one attention head of one later
block; *embed* is the joint text-image space.
"""
