"""`python -m prunecli`, for `torchrun -m prunecli` and `accelerate launch -m prunecli`."""

from prunecli.cli.app import main

main()
