"""What a function does, as a hash: the same in every process, another one once it is changed.

It is made of compiled code, which every minor version of Python writes in its own way: after an upgrade each function
is another one, and what was asked with it is asked anew. Source text would outlive that, and may be wrong: it is read
from a file that may have been edited since, two lambdas of one line share it, and a function made in a shell has none.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType
from typing import Any


def fingerprint(function: Any) -> str:
    """Of a function's code, its defaults and what it closes over; of an object with attributes, of these too."""
    return hashlib.sha256(repr(_terms(function, 0)).encode("utf-8", "replace")).hexdigest()[:12]


def _terms(value: Any, depth: int) -> Any:
    """A value in terms that no address and no order of a hash is in."""
    if depth > 6:
        return type(value).__qualname__
    if isinstance(value, CodeType):
        consts = [_terms(const, depth + 1) for const in value.co_consts]
        return (value.co_code, value.co_names, value.co_varnames, consts)
    if isinstance(value, partial):
        given = (*value.args, *sorted(value.keywords.items()))
        return ("partial", _terms(value.func, depth + 1), [_terms(argument, depth + 1) for argument in given])
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        closed = [_content(cell, depth) for cell in getattr(value, "__closure__", None) or ()]
        more = [_terms(defaults, depth + 1) for defaults in (value.__defaults__, value.__kwdefaults__)]
        return (_terms(code, depth + 1), closed, more)
    if isinstance(value, dict):
        return sorted((repr(_terms(key, depth + 1)), _terms(inner, depth + 1)) for key, inner in value.items())
    if isinstance(value, set | frozenset):
        return sorted(repr(_terms(member, depth + 1)) for member in value)
    if isinstance(value, list | tuple):
        return [_terms(inner, depth + 1) for inner in value]
    if isinstance(value, type):
        return value.__qualname__
    if depth and type(value).__name__ in ("wrapper_descriptor", "method-wrapper", "builtin_function_or_method"):
        return getattr(value, "__qualname__", "")
    if value is None or isinstance(value, str | bytes | int | float | complex):
        return repr(value)
    if is_dataclass(value):
        mine = [(own.name, _terms(getattr(value, own.name), depth + 1)) for own in fields(value) if own.compare]
        return (type(value).__qualname__, mine)
    call = _terms(type(value).__call__, depth + 1) if callable(value) else None
    return (type(value).__qualname__, call, _terms(getattr(value, "__dict__", {}), depth + 1))


def _content(cell: Any, depth: int) -> Any:
    try:
        return _terms(cell.cell_contents, depth + 1)
    except ValueError:  # not filled yet
        return None
