"""The command `selfreward plan`: what a run will take, told before a GPU is spent."""
