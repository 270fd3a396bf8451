"""The embedded engine: a plan becomes a run on this machine. `run.run` runs, `history` tells what runs did."""
