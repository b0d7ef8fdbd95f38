"""The walkthrough under every fault, killed at every point, and twice at once. `make sweep` runs all of it.

Each cell ends in success, or in one clear error after which the step succeeds when it is run again, with the state of an
undisturbed run. While a sweep runs, progress.txt beside the tables has what is done. Environment variables:
RUNBOOK_SWEEP_WORKERS=4 uses more processors, RUNBOOK_SWEEP_MINUTES=20 begins no cell after so long, RUNBOOK_SWEEP_SEED=7
takes another order, RUNBOOK_SWEEP_ONLY='create_vm | operator PUT' some cells only, RUNBOOK_SWEEP_AGAIN=old/progress.txt
the bad ones of an earlier sweep. The clients' clock is twenty times as fast as the machine's (clock.py).
"""
