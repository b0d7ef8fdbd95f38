"""The verbs: one noun of Azure a module, one function for each documented ``az`` command."""
