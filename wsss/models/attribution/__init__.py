"""Alternatives to plain class activation maps: Grad-CAM++, LayerCAM, AdvCAM, NormGrad."""
