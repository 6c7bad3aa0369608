"""Doing it: the study file, the run, the command line, files, audit, release and reports."""
