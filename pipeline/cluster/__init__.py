"""Jobs on a Dask cluster: the same work as in one process, a batch a task, committed by the worker that did it.

Photos and rows never pass through the scheduler or the job's own process. What travels is which batch to do, and counts
of what came of it. Nothing here decides what is done: the ledger does (`pipeline.tables.ledger`), so a batch may run
twice, also at the same time, when a worker is lost or only believed to be.
"""
