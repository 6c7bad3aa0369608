"""Where the work runs. The local engine is the default; a cluster engine runs the same models."""
