"""Making of preference pairs: the judged prompts, the choice in each, and an iteration's statistics."""
