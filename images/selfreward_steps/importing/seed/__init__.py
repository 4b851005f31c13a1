"""Seed data: datasets of many shapes, read row by row and made into the run's own rows."""
