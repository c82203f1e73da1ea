"""Figures made from finished results."""
