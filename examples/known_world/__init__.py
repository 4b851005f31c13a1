"""A known world: a language so small that a function computes how good an answer is.

In it the product's own steps can be held against the truth. Nothing here is a part of the product; the product knows
nothing of it.
"""
