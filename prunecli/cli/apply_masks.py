"""`prunecli apply-masks`."""

from dataclasses import asdict

from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import ApplyMasksConfig
from prunecli.errors import ExitCode


def _run(config: ApplyMasksConfig, out: Output) -> ExitCode:
    from prunecli.operations import apply_masks

    result = apply_masks.run(config)
    rows = [
        [
            f"encoder MFLOPs at {result.tokens} tokens",
            *(f"{value / 1e6:,.1f}" for value in result.flops),
            _share(result.flops),
        ],
        ["parameters", *(f"{value:,}" for value in result.parameters), _share(result.parameters)],
        ["bytes of weights", *(f"{value:,}" for value in result.bytes), _share(result.bytes)],
    ]
    if result.vocabulary is not None:
        rows.insert(1, ["tokens", *(f"{value:,}" for value in result.vocabulary), _share(result.vocabulary)])
    for name, pair in (("layers", result.layers), ("hidden dimensions", result.hidden)):
        if pair[0] != pair[1]:
            rows.insert(1, [name, *map(str, pair), _share(pair)])
    out.table(["", "before", "after", "kept"], rows)
    fewer = result.layers[0] != result.layers[1]  # of a layer that has gone there is nothing to say
    left = [pair for pair in zip(result.heads, result.neurons, strict=True) if any(pair) or not fewer]
    heads, neurons = (" ".join(str(pair[part]) for pair in left) for part in (0, 1))
    out.line(f"heads by layer: {heads}; neurons: {neurons}")
    if result.native:
        out.line("A stock config says it all: the folder loads without remote code.")
    else:
        out.line(
            f"The folder carries its class (load it with trust_remote_code=True), since {result.reason}."
        )
    out.result(result, quiet=str(result.out or ""), verb=config.verb)
    if result.written:
        from prunecli.reports.model_card import verify_command

        out.line(f"Next: {verify_command(str(result.out), asdict(config))}")
    else:
        out.line(f"Dry run, nothing written. It would write: {', '.join(result.files)}")
    return ExitCode.DONE


def _share(pair: tuple[int, int]) -> str:
    return f"{pair[1] / pair[0]:.1%}"


VERB = Verb(
    ApplyMasksConfig,
    _run,
    "Cut the masked units out of the weights, so that the matrices get smaller.",
    (
        "prunecli apply-masks runs/demo --out pruned-demo",
        "prunecli apply-masks runs/demo --dry-run",
        "prunecli apply-masks ./my-model --masks head_mask.pt --out smaller --round-to 32",
        "prunecli apply-masks ./my-model --prune-vocab texts.txt --out smaller",
        "prunecli apply-masks runs/demo --round-to ffn_int=32 --round-to head=32 --dry-run",
    ),
)
