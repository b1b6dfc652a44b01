"""A seekable file over reads of byte ranges."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any


class RangeReader(io.RawIOBase):
    """Read `size` bytes through `read_range(begin, end)`; buffer it, each read is a request."""

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range = read_range
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """Any position, at no cost."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move without reading."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as there are bytes."""
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        data = self._read_range(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """The rest, with one read; the inherited way would ask for 8 KiB at a time."""
        rest = bytearray(max(self._size - self._position, 0))
        del rest[self.readinto(rest) :]
        return bytes(rest)
