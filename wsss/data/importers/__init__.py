"""Import of image-level labels in the formats of other programs: reading, matching to images, splits, a pipeline.

Subpackages, each importing only from the ones before it: ``rules`` (shared by all formats), ``json``, ``formats`` (one
module per format), and this package (the call of the importers, and what `wsss init` makes of their result). The
readers of datasets do not import from here.
"""
