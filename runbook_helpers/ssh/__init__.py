"""SSH: connections to VMs, the keys on both sides, and commands that outlive a connection."""
