"""Visualisation of results: colours, overlays, heat maps, charts, and the HTML report."""
