"""The pictures of the report: gallery, topology and sampling views."""
