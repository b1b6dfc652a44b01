"""Designers: networks that draw new products from noise, chosen by attributes where they have learned some."""
