"""`python -m sightline` is the command line."""

from sightline.commands.cli import main

main()
