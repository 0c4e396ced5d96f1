"""The classes that travel inside checkpoints, and how prunecli loads any checkpoint."""
