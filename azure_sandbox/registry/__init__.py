"""Container registries: the OCI distribution API, its tokens, and what is stored."""
