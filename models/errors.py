"""Errors of the models: what is wrong with a card, a device or the data, in words a person can act on."""

from __future__ import annotations


class ModelError(Exception):
    """Base of all errors that models/ raises on purpose; the command line ends with exit code 3."""


class CardError(ModelError):
    """A model card or the weights it names can't be used: missing, altered, or not what the card says."""


class DeviceError(ModelError):
    """The device or precision that was asked for is not there."""


class DataError(ModelError):
    """Training or input data can't be used: wrong shape, one class only, too few examples, unknown labels."""
