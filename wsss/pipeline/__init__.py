"""The engine: pipeline files, identities, the run store and the runner. It knows nothing of images."""
