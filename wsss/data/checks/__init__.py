"""Validation of datasets and of folders of photographs."""
