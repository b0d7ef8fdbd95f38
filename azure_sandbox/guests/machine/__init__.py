"""The machine guest: a real Debian machine in its own namespaces, on Linux with root."""
