"""The command line `selfreward`: a module a command, and below them what several commands print and find."""
