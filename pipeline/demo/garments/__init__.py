"""Draws each garment type on a canvas, in centimeters."""
