"""Seeing results: colours, overlays, heat maps, charts, and the HTML report made of them."""
