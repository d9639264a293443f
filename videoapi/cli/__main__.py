import sys

from videoapi.cli.main import main

sys.exit(main())
