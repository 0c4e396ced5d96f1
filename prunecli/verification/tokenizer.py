"""The tokenizer as a file: it opens, knows no more words than the model, and says what it gives the model."""

from tokenizers import Tokenizer

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.folder import Checkpoint
from prunecli.shrink.vocabulary import rows_of
from prunecli.verification.base import Finding, found

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def check_tokenizer(checkpoint: Checkpoint) -> Finding:
    """tokenizer.json opens, its vocabulary fits the embeddings, and its length limit fits the positions."""
    path = checkpoint.path / "tokenizer.json"
    if not path.is_file():
        others = [file.name for file in checkpoint.tokenizer_files if file.name not in SETTINGS]
        if checkpoint.tokenizer_files and not others:
            return Finding("tokenizer", "fail", "settings of a tokenizer, but no vocabulary")
        said = f"transformers reads {', '.join(others)}" if others else "the folder has none"
        return Finding("tokenizer", "skip", said)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        return Finding("tokenizer", "fail", f"tokenizer.json cannot be read: {error}")
    words, rows = tokenizer.get_vocab_size(), rows_of(checkpoint)
    if words > rows:
        return Finding("tokenizer", "fail", f"{words:,} tokens, but the model has {rows:,} embeddings")
    settings_path = checkpoint.path / "tokenizer_config.json"
    settings = strict_json.read_object(settings_path) if settings_path.is_file() else {}
    limit, positions = settings.get("model_max_length"), checkpoint.config.get("max_position_embeddings")
    if isinstance(limit, (int, float)) and positions and limit < 1e9 and limit > positions:
        return Finding(
            "tokenizer", "fail", f"model_max_length {limit} is more than the {positions} positions"
        )
    return found("tokenizer", True, f"{words:,} tokens for {rows:,} embeddings")
