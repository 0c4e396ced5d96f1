"""Run a checkpoint over records: read, find the texts, batch by token count, decode the head, write. And time it.

    records.py       JSONL, CSV, TSV and plain lines in; one dict a record
    text_fields.py   which fields of a record hold its texts
    runnable.py      a checkpoint loaded for use: trust, device, length
    batching.py      batches of like length, outputs in the order of the input
    kinds/           ONE FILE PER KIND OF HEAD: rows of token ids in, fields of a record out
    jsonl.py         JSONL out, a file whole or not at all

    timing.py           candidates take turns, so that their times can be compared
    random_batch.py     inputs whose only meaning is their size
    peak_memory.py      memory, in a process of its own
    sublayer_times.py   latency tables: live layers of every width

`prunecli.operations.predict` puts the first together, `prunecli.operations.benchmark` the others.
"""
