"""An embedded Azure: the services that the walkthrough needs, on this machine, offline, for the real clients."""
