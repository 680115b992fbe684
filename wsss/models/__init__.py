"""Networks: backbones, the CAM classifier, segmentation networks, and the maps made from them."""
