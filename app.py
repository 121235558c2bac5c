"""The page from a checkout, and so the entry of a Space: `python app.py [options]` is `mcm app [options]`."""

import sys

from mcm_core.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["app", *sys.argv[1:]]))
