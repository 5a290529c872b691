"""``python -m udprelay.client``."""

import sys

from udprelay.client.main import main

sys.exit(main())
