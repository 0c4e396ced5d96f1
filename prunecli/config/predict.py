"""`predict`: records in, predictions out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import Trust, parse_fields
from prunecli.errors import InputError
from prunecli.fields import OUTPUT, Opt, VerbConfig

CONTEXT, OTHER_KINDS = "Context pruning", "Other kinds"
TREC = (".trec", ".run")
WRITTEN = (".jsonl", ".ndjson", ".json", ".parquet", *TREC)  # endings of --out; without one it is JSONL
OVERLAP = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig(VerbConfig):
    """`prunecli predict CHECKPOINT [FILE]`."""

    verb: ClassVar[str] = "predict"

    checkpoint: Annotated[Path, Opt("A checkpoint or pruned folder.", positional=True)]
    source: Annotated[
        str,
        Opt(
            "JSONL, CSV, TSV, Parquet, text or TREC run file; - reads standard input. Fields whose names the "
            "prediction takes come out as input_NAME.",
            positional=True,
        ),
    ] = "-"
    query: Annotated[str | None, Opt("One query (question, text) instead of a file.")] = None
    document: Annotated[tuple[str, ...], Opt("Document for --query; repeat it for several.")] = ()
    fields: Annotated[
        str | None, Opt("Fields with the input, as A or A,B, where they have no known name.")
    ] = None
    kind: Annotated[
        str | None,
        Opt(
            "classification, reranking, context-pruning, token-classification, question-answering, masked-seq or "
            "embeddings. Default: what the config says."
        ),
    ] = None
    topics: Annotated[
        Path | None, Opt("Texts of the queries of a TREC run: a file with the fields id and text.")
    ] = None
    collection: Annotated[
        Path | None, Opt("Texts of the documents of a TREC run: a file with the fields id and text.")
    ] = None
    max_length: Annotated[
        int | None, Opt("Maximum tokens per record or window. Default: what the model takes.", minimum=8)
    ] = None
    overlap: Annotated[
        float,
        Opt(
            "Overlap of consecutive windows, as a share of their length, for texts that do not fit.",
            maximum=0.9,
        ),
    ] = OVERLAP
    batch_tokens: Annotated[
        int | None, Opt("Tokens per batch, with padding. Default: 1024 on a CPU, else 16384.", minimum=1)
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Device to run on.")] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"],
        Opt("Type of the numbers. auto: float32 on a CPU, else what the weights were saved in."),
    ] = "auto"
    backend: Annotated[
        Literal["auto", "torch", "onnx"],
        Opt("Runtime. onnx runs the folder's model.onnx; auto does so where there are no weights."),
    ] = "auto"
    threshold: Annotated[
        tuple[str, ...],
        Opt(
            "Keep sentences above this probability, or a file of --calibrate; repeat it for several. "
            "Default: the checkpoint's own, else 0.5.",
            CONTEXT,
            metavar="P|FILE",
        ),
    ] = ()
    top_sentences: Annotated[
        int | None, Opt("Keep at most the N best sentences of a record.", CONTEXT, minimum=1)
    ] = None
    budget_tokens: Annotated[
        int | None, Opt("Keep the best sentences of a record within N tokens.", CONTEXT, minimum=1)
    ] = None
    budget_characters: Annotated[
        int | None, Opt("Keep the best sentences of a record within N characters.", CONTEXT, minimum=1)
    ] = None
    min_sentences: Annotated[
        int,
        Opt("Keep at least the N best sentences of a record, whatever the threshold.", CONTEXT, minimum=0),
    ] = 0
    split: Annotated[
        Literal["sentences", "lines", "presplit"],
        Opt("Unit that is kept or dropped: sentences, lines, or the strings of a list.", CONTEXT),
    ] = "sentences"
    language: Annotated[str, Opt("Language of the texts, for splitting sentences, as en or ja.", CONTEXT)] = (
        "en"
    )
    calibrate: Annotated[
        Path | None,
        Opt(
            "Choose the threshold with the best F2 on a file whose records also say which sentences are relevant; "
            "--out is then the file that --threshold takes.",
            CONTEXT,
        ),
    ] = None
    compat: Annotated[
        Literal["open-provence", "provence"] | None,
        Opt("Score sentences exactly as these packages do, known bugs included.", CONTEXT),
    ] = None
    activation: Annotated[
        Literal["auto", "sigmoid", "softmax", "none"],
        Opt(
            "How logits become scores, for classification and reranking. auto: softmax over several "
            "labels, sigmoid of independent ones and of a reranker's only one.",
            OTHER_KINDS,
        ),
    ] = "auto"
    pooling: Annotated[
        Literal["auto", "mean", "cls"],
        Opt("How token states become one embedding. auto: what the folder says, else mean.", OTHER_KINDS),
    ] = "auto"
    mask_token: Annotated[
        str | None,
        Opt("Token that marks a position to classify. Default: the tokenizer's mask token.", OTHER_KINDS),
    ] = None
    no_answer: Annotated[bool, Opt("Let a question have no answer, as in SQuAD v2.", OTHER_KINDS)] = False
    out: Annotated[
        Path | None,
        Opt("JSONL, Parquet or TREC run file to write instead of standard output.", OUTPUT, short="-o"),
    ] = None
    resume: Annotated[bool, Opt("Go on where an interrupted run with the same --out stopped.", OUTPUT)] = (
        False
    )
    fail_fast: Annotated[
        bool, Opt("Stop at the first record that cannot be used, instead of writing its error.", OUTPUT)
    ] = False
    overwrite: Annotated[bool, Opt("Replace the output file if it exists.", OUTPUT)] = False
    trust_remote_code: Trust = False

    def __post_init__(self) -> None:
        """Check the fields, and that those that need each other are there together.

        Raises:
            InputError: It names the option and what it needs.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        parse_fields(self.fields)
        self._check_one_input()
        if self.out is not None and self.calibrate is None and self.out.suffix.lower() not in ("", *WRITTEN):
            raise InputError(
                f"--out {self.out}: predictions are written as JSONL, Parquet or TREC run, not as {self.out.suffix}",
                f"let it end with {', '.join(WRITTEN[:-1])} or {WRITTEN[-1]}",
            )
        if self.calibrate is not None and self.threshold:
            raise InputError("--calibrate chooses the threshold, and --threshold says it", "leave one out")
        if self.calibrate is not None and self.resume:
            raise InputError("--calibrate starts anew, and --resume goes on", "leave --resume out")
        if self.resume and self.out is None:
            raise InputError("--resume goes on with a file, but none is named", "add --out FILE")
        if self.top_sentences is not None and self.top_sentences < self.min_sentences:
            raise InputError("--min-sentences is more than --top-sentences", "lower one of them")
        if self.document and self.query is None:
            raise InputError("--document is for a --query, but there is none", "add --query TEXT")
        from_run = is_trec(Path(self.source))
        if is_trec(self.out) and not from_run and self.calibrate is None:
            raise InputError(
                f"--out {self.out}: a TREC run names documents by their ids, which only a TREC run has",
                "let it end with .jsonl",
            )
        if from_run != (self.topics is not None) or from_run != (self.collection is not None):
            raise InputError(
                "a TREC run names queries and documents by their ids; their texts stand elsewhere",
                "give RUN.trec, --topics FILE and --collection FILE together",
            )

    def _check_one_input(self) -> None:
        inputs = {
            f"FILE {self.source}": self.source != "-",
            "--query": self.query is not None,
            "--calibrate": self.calibrate is not None,
        }
        given = [name for name, is_given in inputs.items() if is_given]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} each name an input", "leave all but one out")


def is_trec(path: Path | None) -> bool:
    """Say whether a file is a TREC run, by its ending."""
    return path is not None and path.suffix.lower() in TREC
