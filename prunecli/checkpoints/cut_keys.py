"""What `config.json` says of a cut besides the stock config's keys; `modeling_pruned.py` explains each."""

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from prunecli.errors import InputError

LINEARS = "pruned_linears"
# With the type of what stands there.
CUT_KEYS: dict[str, type | UnionType] = {
    LINEARS: dict, "gathered_inputs": list, "scattered_outputs": list, "module_attributes": dict,
    "kept_heads": dict, "without_heads": dict, "without_layers": list, "hidden_dimensions": int | None,
    "narrowed": dict, "narrowed_head": dict,
}  # fmt: skip


def check_cut(cut: Any, file: Path) -> None:
    """Refuse what says no cut, or half of one.

    Args:
        cut: The keys of a cut, as a stranger's file has them.
        file: Where they stand, for messages.

    Raises:
        InputError: A key is missing, unknown, or of another type.
    """
    if not isinstance(cut, Mapping) or cut.keys() != CUT_KEYS.keys():
        odd = sorted(cut.keys() ^ CUT_KEYS.keys()) if isinstance(cut, Mapping) else [repr(cut)]
        raise InputError(f"{file} says no whole cut: {', '.join(odd)}", "cut the dense checkpoint again")
    for key, kind in CUT_KEYS.items():
        if not isinstance(cut[key], kind) or isinstance(cut[key], bool):
            raise InputError(f"{file}: {key} {cut[key]!r} says no cut", "cut the dense checkpoint again")
