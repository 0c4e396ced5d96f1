"""Run a checkpoint over records: read, find the texts, batch by token count, decode the head, write.

    records.py       JSONL, CSV, TSV and plain lines in; one dict a record
    text_fields.py   which fields of a record hold its texts
    runnable.py      a checkpoint loaded for use: trust, device, length
    batching.py      batches of like length, outputs in the order of the input
    kinds/           ONE FILE PER KIND OF HEAD: rows of token ids in, fields of a record out
    jsonl.py         JSONL out, a file whole or not at all

`prunecli.operations.predict` puts them together.
"""
