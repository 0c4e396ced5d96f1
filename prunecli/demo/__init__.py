"""Demo checkpoint and sentiment data set, written by scripts/make_demo.py."""
