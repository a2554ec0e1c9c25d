"""`python -m zeroconv`, which `accelerate launch -m zeroconv` needs; the console script `zeroconv` is the same."""

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
