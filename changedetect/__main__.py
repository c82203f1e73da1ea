"""``python -m changedetect`` is the same program as ``changedetect``."""

from changedetect.cli.main import main

if __name__ == "__main__":
    main()
