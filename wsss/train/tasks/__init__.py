"""What is trained: the examples and losses of classifiers, samplers, segmentation and boundary networks."""
