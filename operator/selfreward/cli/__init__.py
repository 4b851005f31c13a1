"""The command line: selfreward run · validate · status."""
