"""How far cut models are from gated ones: every family, head and group, in float32.

    python -m benchmarks.equality [--seeds 2]

Tiny models with random weights (`tests/tiny.py`), real-valued masks that keep about half of the units, empty layers,
eager and sdpa, two batch sizes. Prints a markdown table: the largest absolute difference of any output.
"""

import argparse
import tempfile
from pathlib import Path

import transformers

from prunecli.masks.units import GROUPS
from tests import tiny
from tests.properties.test_cut_equals_gates import largest_difference


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    seeds = range(parser.parse_args().seeds)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    heads = [*tiny.HEADS, *tiny.OTHER_HEADS]
    columns = [head.removeprefix("For") for head in heads] + [*GROUPS, "all groups"]
    print(f"| family | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for model_type in tiny.MODEL_TYPES:
        by_head, by_group = {}, {}
        for head in heads:
            if head in tiny.HEADLESS.get(model_type, ()):
                continue
            for groups in [*((group,) for group in GROUPS), GROUPS]:
                worst = max(_difference(model_type, head, groups, seed) for seed in seeds)
                by_head[head] = max(by_head.get(head, 0.0), worst)
                by_group[groups] = max(by_group.get(groups, 0.0), worst)
        cells = [by_head.get(head) for head in heads] + list(by_group.values())
        print(
            f"| {model_type} | {' | '.join('-' if cell is None else f'{cell:.0e}' for cell in cells)} |",
            flush=True,
        )


def _difference(model_type: str, head: str, groups: tuple[str, ...], seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = tiny.save_tiny(Path(folder) / "source", model_type, head)
        encoder = tiny.sizes(source)
        masks = tiny.random_masks(encoder, groups, seed, real=True, empty=True)
        return largest_difference(source, masks, "float32")


if __name__ == "__main__":
    main()
