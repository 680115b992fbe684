"""Instance annotations of COCO: an index of a large JSON file, and ground-truth masks drawn from it on demand."""
