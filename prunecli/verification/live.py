"""Checks on what the child reports: that the folder loads, and that it computes the same however it is asked."""

from collections.abc import Callable

from prunecli.checkpoints.folder import Checkpoint
from prunecli.verification.base import Finding, found
from prunecli.verification.isolated import Answer

Check = Callable[[Answer, Checkpoint, float], Finding]


def check_isolation(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """prunecli cannot be imported where the folder is loaded."""
    return found(
        "isolation", bool(answer.facts.get("blocked")), "fresh python -I, offline, prunecli not importable"
    )


def check_load(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """AutoModel loads the folder with its own class, and no parameter is missing or left over."""
    facts = answer.facts
    if facts["class"] != checkpoint.architecture:
        return Finding(
            "load", "fail", f"loaded as {facts['class']}, config.json says {checkpoint.architecture}"
        )
    remote = "auto_map" in checkpoint.config
    if remote != facts["module"].startswith("transformers_modules."):
        return Finding("load", "fail", f"the class came from {facts['module']}, not from the folder's file")
    left = [
        f"{kind} {name}" for kind in ("missing", "unexpected", "mismatched") for name in facts[f"{kind}_keys"]
    ]
    return found(
        "load",
        not left,
        left[0] if left else f"{facts['class']}, transformers {facts['versions']['transformers']}",
    )


def check_implied(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """The files hold exactly the tensors, in exactly the shapes, that the config implies."""
    wrong = answer.facts["implied"]
    return found(
        "tensors implied",
        not wrong,
        wrong[0] if wrong else f"{len(checkpoint.tensors)} names and shapes equal",
    )


def check_loaded(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """Every tensor of the loaded model is the file's, bit for bit."""
    wrong = answer.facts["loaded"]
    return found(
        "tensors loaded", not wrong, f"{wrong[0]} differs" if wrong else "bit for bit those of the file"
    )


def check_weights_finite(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """No weight is NaN or infinite; sdpa on CPU can hide one from the outputs."""
    wrong = answer.facts["not_finite"]
    return found(
        "weights finite", not wrong, f"{wrong[0]} holds NaN or infinite values" if wrong else "all of them"
    )


def check_finite(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """Outputs on the probes are finite."""
    return found(
        "forward", answer.facts["finite"], "finite" if answer.facts["finite"] else "NaN or infinite outputs"
    )


def check_batch(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """A row gives the same alone and in a batch."""
    return _within("batch", answer.facts["batch"], atol)


def check_padding(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """More padding changes nothing."""
    return _within("padding", answer.facts["padding"], atol)


def check_reload(answer: Answer, checkpoint: Checkpoint, atol: float) -> Finding:
    """save_pretrained and from_pretrained give the same tensors, auto_map and code."""
    facts = answer.facts
    wrong = [*facts["reload"], *([] if facts["reload_config"] else ["auto_map"]), *facts["reload_code"]]
    return found("save and reload", not wrong, f"{wrong[0]} differs" if wrong else "identical")


def _within(check: str, difference: float, atol: float) -> Finding:
    return found(check, difference <= atol, f"max abs difference {difference:.2e}, tolerance {atol:.0e}")


# What has to be reached before a check can say anything, and the checks in order, with the names they report.
STAGES: tuple[tuple[str, dict[str, Check]], ...] = (
    ("import", {"isolation": check_isolation}),
    ("load", {"load": check_load}),
    (
        "tensors",
        {
            "tensors implied": check_implied,
            "tensors loaded": check_loaded,
            "weights finite": check_weights_finite,
        },
    ),
    ("forward", {"forward": check_finite, "batch": check_batch, "padding": check_padding}),
    ("save and reload", {"save and reload": check_reload}),
)


def live_findings(answer: Answer, checkpoint: Checkpoint, atol: float) -> list[Finding]:
    """Run the checks of every stage that the child got through; the stage that broke fails, later ones are skipped."""
    findings: list[Finding] = []
    broken = False
    for stage, checks in STAGES:
        for name, check in checks.items():
            if broken:
                findings.append(Finding(name, "skip", f"the child failed at {answer.stage}"))
            elif answer.stage == stage:
                findings.append(Finding(name, "fail", str(answer.error)))
                broken = True
            else:
                findings.append(check(answer, checkpoint, atol))
    return findings
