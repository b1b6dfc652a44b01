"""Labelled catalogs: photos and what people say they show, as training data."""
