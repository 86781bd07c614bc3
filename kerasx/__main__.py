"""`python -m kerasx`."""

from kerasx.cli import main

main()
