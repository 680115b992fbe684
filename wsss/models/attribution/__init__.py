"""Other maps than the plain class activation map, to compare with: Grad-CAM++, LayerCAM, AdvCAM."""
