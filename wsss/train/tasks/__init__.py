"""Training tasks: the examples and losses of classifiers, samplers, segmentation and boundary networks."""
