"""Unpaired translation of pictures (a dress into a shoe and back): networks, training, measuring, writing."""
