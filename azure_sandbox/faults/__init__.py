"""Faults: the rules that make the sandbox misbehave, and the places where they take effect."""
