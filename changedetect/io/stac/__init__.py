"""Scenes of STAC catalogues and APIs: items found and chosen, their windows fetched; imported only where asked for."""
