"""Run a checkpoint over records: read, tokenise, batch by tokens, say what the outputs mean, write. And time it.

    stream.py        records in, predictions out, in order and in constant memory: start here
    formats/         ONE FILE PER FORMAT: records in (JSONL, CSV, TSV, Parquet, text, TREC runs) and out
    text_fields.py   which fields of a record hold the input; one_record.py, a record from the command line
    kinds/           ONE FILE PER KIND OF USE: from a record to rows of token ids, from outputs to fields
    runnable.py      a checkpoint loaded for use: trust, device, number type, length; onnx_model.py, a graph instead
    batching.py      batches of like length within a budget of tokens
    ahead.py         the next window of records is tokenised while the last one is computed
    activation.py    from logits to scores
    first_token.py   classifiers compute their last layer for the first token only
    packed_linears.py  linears as oneDNN reads them, for float32 on a CPU
    same_outputs.py  either of them only where the outputs stay the same
    output_file.py   a file whole or not at all, which an interrupted run can go on with

    dense_module.py      a layer of sentence-transformers on embeddings
    windows.py           long texts in overlapping windows, in the frame that the tokenizer puts around them
    text_reader.py       single texts in windows; document_reader.py, a query's documents
    truncated.py         texts that are cut instead
    sentences.py, selection.py, thresholds.py   context pruning: where sentences are, and which of them stay
    open_provence.py     the same as another package does it
    pruning_encoder.py, pruning_cross_encoder.py   classes for callers of other packages

    timing.py           candidates take turns, so that their times can be compared
    random_batch.py     inputs whose only meaning is their size
    peak_memory.py      memory, in a process of its own
    sublayer_times.py   latency tables: live layers of every width

`prunecli.operations.predict` puts the first two groups together, `prunecli.operations.benchmark` the third.
"""
