"""What an encoder does with real examples: what each sublayer reads, and what the outputs depend on."""
