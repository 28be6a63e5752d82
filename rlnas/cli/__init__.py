"""The `rlnas` command: flags, and what they start."""
