"""Demo checkpoint and sentiment data set, written by scripts/make_demo.py."""

from pathlib import Path

NAME = "demo"  # what users call it
MODEL = Path(__file__).parent / "model"
