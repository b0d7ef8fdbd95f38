"""The command ``runbook``."""
