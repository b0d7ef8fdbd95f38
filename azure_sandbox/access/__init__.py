"""Access: may this principal do this action on this scope now? Everything that answers asks here."""
