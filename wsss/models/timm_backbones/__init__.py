"""Networks of timm as backbones: their names, trunks, weights, and the positions of their features."""
