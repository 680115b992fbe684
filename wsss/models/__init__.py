"""Networks: backbones, CAM classifiers, segmentation networks, and maps computed from them."""
