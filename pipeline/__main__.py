"""`python -m pipeline` is `atelier`."""

from pipeline.cli import main

main()
