"""Arrays in, arrays out: no files, no frames, no logging.

Why: the same arithmetic must run on one machine and inside a cluster's tasks, and be comparable line by line
with the slow twins in ``tests/``. Shapes and dtypes are in every docstring.
"""
