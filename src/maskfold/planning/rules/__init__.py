"""One decision a module: plain functions from what was measured to a value and its reason."""
