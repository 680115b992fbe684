"""Masks in map coordinates: GeoTIFF and GeoJSON, with the georeference of their images."""
