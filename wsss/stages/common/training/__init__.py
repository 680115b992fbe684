"""Training of classifiers, samplers and segmentation networks in a stage: data, targets and results."""
