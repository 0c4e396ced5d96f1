"""One record from the command line: `--query`, and `--document` once, more often or not at all."""

from collections.abc import Sequence

from prunecli.errors import InputError
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind

# Fields of the record that --query and --document make, and how they were given.
GIVEN = {
    ("text",): "--query alone",
    ("query", "document"): "--query with one --document",
    ("query", "documents"): "--query with several --document",
}


def one_record(query: str, documents: Sequence[str]) -> Record:
    """Return the record that --query and --document make."""
    if not documents:
        return {"text": query}
    if len(documents) == 1:
        return {"query": query, "document": documents[0]}
    return {"query": query, "documents": list(documents)}


def check_one_record(name: str, kind: type[Kind], fields: tuple[str, ...]) -> None:
    """Refuse fewer or more --document than a kind reads.

    Raises:
        InputError: It says how many that is.
    """
    if fields in kind.known:
        return
    reads = [words for names, words in GIVEN.items() if names in kind.known]
    raise InputError(
        f"{GIVEN[fields]} is nothing that {name} reads",
        f"give {' or '.join(reads)}, or another --kind or checkpoint",
    )
