"""Access: may this principal do this action on this scope now? Every question about roles is asked here."""
