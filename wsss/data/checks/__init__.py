"""Integrity checks of datasets and folders of photographs."""
