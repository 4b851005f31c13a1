"""One attempt at a step: its configuration, inputs, frame, progress and result."""
