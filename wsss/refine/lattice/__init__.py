"""Dense CRF by high-dimensional filtering on the permutohedral lattice: NumPy and Numba, no compiler.

The model is that of Krähenbühl and Koltun (NeurIPS 2011): Gaussian kernels with symmetric normalisation, Potts
compatibility, mean-field inference. The filter is that of Adams, Baek and Davis ("Fast High-Dimensional Filtering Using
the Permutohedral Lattice", Eurographics 2010).
"""
