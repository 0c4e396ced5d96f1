"""JSON from a stranger's folder: bounded in size and depth, no duplicate keys, no NaN."""

import json
import math
from pathlib import Path
from typing import Any

from prunecli.errors import InputError

MAX_BYTES = 4_000_000
MAX_DEPTH = 64


def read_object(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a file that must hold one JSON object.

    Raises:
        InputError: It is missing, too large, not UTF-8 JSON, nested too deeply, or no object.
    """
    return parse_object(_read(path, max_bytes), str(path))


def read_array(path: Path) -> list[Any]:
    """Read a file that must hold one JSON array; it raises what `read_object` raises."""
    value = _parse(_read(path, MAX_BYTES), str(path))
    if not isinstance(value, list):
        raise InputError(f"{path} holds a JSON {type(value).__name__}, not an array")
    return value


def _read(path: Path, max_bytes: int) -> str:
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(f"{path}: {size:,} bytes of JSON, more than the {max_bytes:,} allowed")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", "name the folder of a saved checkpoint") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def parse_object(text: str, name: str) -> dict[str, Any]:
    """Parse one JSON object; `name` is what messages call it."""
    value = _parse(text, name)
    if not isinstance(value, dict):
        raise InputError(f"{name} holds a JSON {type(value).__name__}, not an object")
    return value


def _parse(text: str, name: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
        too_deep = _depth(value) > MAX_DEPTH
    except RecursionError:
        too_deep = True
    except json.JSONDecodeError as error:
        where = (
            f"line {error.lineno} column {error.colno}" if "\n" in text.strip() else f"column {error.colno}"
        )
        raise InputError(f"{name} is not valid JSON: {error.msg} at {where}") from None
    except ValueError as error:
        raise InputError(f"{name} is not valid JSON: {error}") from None
    if too_deep:
        raise InputError(f"{name}: JSON is nested more than {MAX_DEPTH} deep")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large for a number")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


def write_json(path: Path, value: dict[str, Any] | list[Any]) -> None:
    """Write an object or an array for people to read; numbers that are not finite become null."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """Return a value with None for the numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
