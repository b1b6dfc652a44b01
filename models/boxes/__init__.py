"""Boxes of garments: readers for the usual formats, the check of every box, geometry, words to garment groups."""
