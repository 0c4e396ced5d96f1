"""The command line: words in, words out; nothing here imports torch."""
