"""`python -m benchmarks`. What is measured may start a process, which reads this again, and should read no more."""

import sys

if __name__ == "__main__":
    from benchmarks.bench import main

    sys.exit(main())
