"""Prune fine-tuned Hugging Face encoders: learn masks, cut, prove equality, use the smaller model.

The Python API is the command line's verbs, loaded on first use:

    import prunecli
    prunecli.train_masks("bert-base-uncased", "qqp", data_dir="data/qqp", out="runs/qqp")
    prunecli.apply_masks("runs/qqp", out="pruned-qqp")
    prunecli.verify_automodel("pruned-qqp", against="runs/qqp")
    for record in prunecli.predict("pruned-qqp", [{"question1": "...", "question2": "..."}]): ...
"""

__version__ = "0.1.0"
