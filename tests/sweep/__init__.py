"""The walkthrough under every fault, killed at every point, and twice at once. `make sweep` runs all of it."""
