"""Maps of classes: class activation maps, and the alternatives Grad-CAM++, LayerCAM, AdvCAM and NormGrad."""
