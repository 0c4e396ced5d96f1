"""How fast is `predict`, compared with what people use, on the same records and the same checkpoint?

    OMP_NUM_THREADS=1 python benchmarks/predict.py CHECKPOINT FILE [--fields A,B] [--graph FOLDER] [--pruned FOLDER]

FILE is what `predict` reads, of single texts or pairs. In every round these take turns, each with all records:

    pipeline        transformers.pipeline, batches of 32
    cross-encoder   CrossEncoder.predict of sentence-transformers, batches of 32 (pairs only)
    sorted loop     a loop over batches of 32 that sorts by number of tokens first
    predict         prunecli.Predictor
    predict, graph  the same with what `convert --to onnx` wrote (--graph)
    predict, pruned the same with a pruned folder (--pruned); its outputs are other ones

All compute in float32 and return the probability of the likeliest label, which has to be equal to 1e-5. Times are CPU
seconds of the whole process, so that others on the machine matter little; a first round warms up. With --alone, then
each in a process of its own: CPU seconds from its start to the first prediction, and the most memory that it took.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

BATCH, TOLERANCE = 32, 1e-5
Records = list[dict[str, Any]]
Run = Callable[[], list[float]]  # one probability a record: that of the likeliest label


padding: dict[str, float] = {}  # share of the tokens that `predict` put through a checkpoint


def texts_of(records: Records, fields: list[str]) -> list[Any]:
    rows = [tuple(record[field] for field in fields) for record in records]
    return rows if len(fields) > 1 else [row[0] for row in rows]


def pipeline(folder: str, texts: list[Any]) -> Run:
    import torch
    from transformers import pipeline

    classify = pipeline("text-classification", folder, dtype=torch.float32, device="cpu")
    rows = [{"text": text[0], "text_pair": text[1]} if isinstance(text, tuple) else text for text in texts]
    options = {"batch_size": BATCH, "truncation": True, "function_to_apply": "softmax"}
    return lambda: [found["score"] for found in classify(rows, **options)]


def cross_encoder(folder: str, texts: list[Any]) -> Run:
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(
        folder, device="cpu", activation_fn=torch.nn.Softmax(-1), model_kwargs={"dtype": "float32"}
    )
    return lambda: model.predict(texts, batch_size=BATCH).max(-1).tolist()


def sorted_loop(folder: str, texts: list[Any]) -> Run:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def run() -> list[float]:
        columns = (
            [list(column) for column in zip(*texts, strict=True)] if isinstance(texts[0], tuple) else [texts]
        )
        encoded = tokenizer(*columns, truncation=True)
        order = sorted(range(len(texts)), key=lambda row: len(encoded["input_ids"][row]), reverse=True)
        found = [0.0] * len(texts)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = {name: [values[row] for row in rows] for name, values in encoded.items()}
            logits = model(**tokenizer.pad(batch, return_tensors="pt")).logits.softmax(-1).max(-1).values
            for row, value in zip(rows, logits.tolist(), strict=True):
                found[row] = value
        return found

    return run


def predict(folder: str, texts: list[Any]) -> Run:
    import prunecli

    pairs = isinstance(texts[0], tuple)
    records = [{"text": text[0], "text_pair": text[1]} if pairs else {"text": text} for text in texts]
    predictor = prunecli.Predictor(folder, kind="classification")

    def run() -> list[float]:
        predictions = predictor(records)
        found = [record["score"] for record in predictions]
        result = predictions.result()
        padding[folder] = 1 - result.tokens / result.padded_tokens
        return found

    return run


MAKE = {"pipeline": pipeline, "cross-encoder": cross_encoder, "sorted loop": sorted_loop, "predict": predict}


def take_turns(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each, in an order that turns round every round."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: 1 if number % 2 else -1]:
            started = time.process_time()
            runs[name]()
            found[name].append(time.process_time() - started)
    return found


def alone(words: list[str]) -> tuple[float, int]:
    """Return what one candidate takes in a process of its own: CPU seconds to the first prediction, peak bytes."""
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    first, peak = done.stdout.split()[-2:]
    return float(first), int(peak)


def child(name: str, folder: str, texts: list[Any]) -> None:
    MAKE[name](folder, texts[:1])()
    print(time.process_time())
    MAKE[name](folder, texts)()
    from prunecli.inference.peak_memory import resident_peak

    print(resident_peak())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("file")
    parser.add_argument("--fields", default="text")
    parser.add_argument("--graph")
    parser.add_argument("--pruned")
    parser.add_argument("--records", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="also measure each in a process of its own")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    from prunecli.inference.formats import read_records

    records: Any = list(read_records(options.file))[: options.records]
    texts = texts_of(records, options.fields.split(","))
    if options.child:
        child(options.child, options.checkpoint, texts)
        return
    names = [name for name in MAKE if name != "cross-encoder" or isinstance(texts[0], tuple)]
    runs = {name: MAKE[name](options.checkpoint, texts) for name in names}
    outputs = {name: run() for name, run in runs.items()}
    if options.graph:
        runs["predict, graph"] = predict(options.graph, texts)
        outputs["predict, graph"] = runs["predict, graph"]()
    expected = outputs["predict"]
    apart = {
        name: max(abs(a - b) for a, b in zip(expected, found, strict=True)) for name, found in outputs.items()
    }
    if options.pruned:
        runs["predict, pruned"] = predict(options.pruned, texts)
        runs["predict, pruned"]()
    seconds = take_turns(runs, options.rounds)
    words = [options.checkpoint, options.file, "--fields", options.fields, "--records", str(options.records)]
    rows = []
    for name in runs:
        first, peak = alone([*words, "--child", name]) if options.alone and name in MAKE else (None, None)
        rows.append(
            {
                "name": name,
                "records_per_cpu_second": len(texts) / median(seconds[name]),
                "ratio": median(seconds[name]) / median(seconds["predict"]),
                "difference": apart.get(name),
                "padding": padding.get(options.checkpoint) if name == "predict" else None,
                "first_seconds": first,
                "peak_bytes": peak,
            }
        )
    if options.json:
        print(json.dumps({"checkpoint": Path(options.checkpoint).name, "records": len(texts), "rows": rows}))
        return
    print(f"{'':16}{'records/s':>10}{'takes':>8}{'apart':>9}{'first s':>9}{'peak MB':>9}")
    for row in rows:
        first, peak = row["first_seconds"], row["peak_bytes"]
        gap = row["difference"] or 0
        shown = f"{first:9.1f}{peak / 1e6:9.0f}" if first else ""
        print(f"{row['name']:16}{row['records_per_cpu_second']:10.1f}{row['ratio']:8.2f}{gap:9.1e}{shown}")
    assert all(difference <= TOLERANCE for difference in apart.values()), apart


if __name__ == "__main__":
    main()
