"""Run the command line as ``python -m molq``."""

from molq.cli import main

if __name__ == "__main__":
    main()
