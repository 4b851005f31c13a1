"""What commands show of a run on the terminal: while it is walked, and at its end."""
