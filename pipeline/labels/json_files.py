"""JSON and JSON lines, with errors that say where in the file something is wrong."""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import InputError


def parse_json(data: bytes, uri: str) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: not UTF-8 or not JSON; the message has line and column.
    """
    try:
        return json.loads(_text(data, uri))
    except json.JSONDecodeError as error:
        raise _malformed(uri, error.lineno, error) from None


def parse_records(data: bytes, uri: str) -> list[dict[str, Any]]:
    """The objects of a JSON file: a list of them, a list under `products`, or one object a line (JSON lines).

    Raises:
        InputError: none of these; the message has line and column, or the number of what is no object.
    """
    text = _text(data, uri)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            if uri.endswith((".jsonl", ".ndjson")):
                return _lines(text, uri)
            raise _malformed(uri, error.lineno, error) from None
        return _lines(text, uri)
    if isinstance(found, dict) and isinstance(found.get("products"), list):
        found = found["products"]
    return _objects(found if isinstance(found, list) else [found], uri)


def _lines(text: str, uri: str) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise _malformed(uri, number, error) from None
    return _objects(found, uri)


def _objects(found: list[Any], uri: str) -> list[dict[str, Any]]:
    for number, one in enumerate(found, 1):
        if not isinstance(one, dict):
            raise InputError(f"{uri}: entry {number} is no JSON object but {json.dumps(one)[:80]}")
    return found


def _text(data: bytes, uri: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{uri} is not UTF-8: byte {error.start}") from None


def _malformed(uri: str, line: int, error: json.JSONDecodeError) -> InputError:
    return InputError(f"{uri} is not JSON: line {line}, column {error.colno}: {error.msg}")
