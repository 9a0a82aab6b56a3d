"""C{python -m distnet.cli}: the same as C{distnet}."""

import sys

from distnet.cli.main import main

sys.exit(main())
