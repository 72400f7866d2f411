"""What a function does, as a hash: the same in every process, another one once it is changed."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType
from typing import Any


def fingerprint(function: Any) -> str:
    """Of a function's code, its defaults and what it closes over; of an object with attributes, of these too."""
    return hashlib.sha256(repr(_said(function, 0)).encode("utf-8", "replace")).hexdigest()[:12]


def _said(value: Any, depth: int) -> Any:
    """A value in terms that no address and no order of a hash is in."""
    if depth > 6:
        return type(value).__qualname__
    if isinstance(value, CodeType):
        return (value.co_code, value.co_names, value.co_varnames, [_said(one, depth + 1) for one in value.co_consts])
    if isinstance(value, partial):
        more = sorted(value.keywords.items())
        return ("partial", _said(value.func, depth + 1), [_said(one, depth + 1) for one in (*value.args, *more)])
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        closed = [_content(cell, depth) for cell in getattr(value, "__closure__", None) or ()]
        more = [_said(one, depth + 1) for one in (value.__defaults__, value.__kwdefaults__)]
        return (_said(code, depth + 1), closed, more)
    if isinstance(value, dict):
        return sorted((repr(_said(key, depth + 1)), _said(one, depth + 1)) for key, one in value.items())
    if isinstance(value, set | frozenset):
        return sorted(repr(_said(one, depth + 1)) for one in value)
    if isinstance(value, list | tuple):
        return [_said(one, depth + 1) for one in value]
    if isinstance(value, type):
        return value.__qualname__
    if depth and type(value).__name__ in ("wrapper_descriptor", "method-wrapper", "builtin_function_or_method"):
        return getattr(value, "__qualname__", "")
    if value is None or isinstance(value, str | bytes | int | float | complex):
        return repr(value)
    if is_dataclass(value):
        mine = [(one.name, _said(getattr(value, one.name), depth + 1)) for one in fields(value) if one.compare]
        return (type(value).__qualname__, mine)
    own = _said(type(value).__call__, depth + 1) if callable(value) else None
    return (type(value).__qualname__, own, _said(getattr(value, "__dict__", {}), depth + 1))


def _content(cell: Any, depth: int) -> Any:
    try:
        return _said(cell.cell_contents, depth + 1)
    except ValueError:  # not filled yet
        return None
