"""The parts of an evaluation: its work, head to head, leaderboard formats, lm-eval and the report."""
