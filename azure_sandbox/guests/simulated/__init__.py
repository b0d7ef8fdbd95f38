"""The simulated guest: Python commands behind an SSH server in the sandbox's process."""
