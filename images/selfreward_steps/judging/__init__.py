"""Judging of answers: templates, the scores in what a judge says, and verdicts on safety and on two answers."""
