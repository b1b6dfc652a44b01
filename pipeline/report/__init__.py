"""One self-contained HTML page a run: what happened, where the time went, what the models said, what to look at."""
