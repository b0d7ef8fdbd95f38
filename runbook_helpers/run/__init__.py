"""A run of the notebooks: papermill over them, its progress, and what it reports."""
