"""``python -m psychophys``."""

from psychophys.cli import main

if __name__ == "__main__":
    main()
