"""Learning masks: trainable gates, a Trainer with two learning rates, schedules."""
