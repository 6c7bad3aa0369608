"""Figures of results as functions: a frame in, a matplotlib Figure out."""
