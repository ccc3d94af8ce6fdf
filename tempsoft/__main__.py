"""The entry point of the command `tempsoft`, which is also ``python -m tempsoft``.

Promises: where the extra that the command needs is not installed, one line on stderr says what to install, and the
exit status is 1. Leaves every verb and option to `tempsoft.cli`.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command on the arguments of this process."""
    try:
        from .cli import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f'tempsoft: the command needs {error.name}, which is not installed: pip install "tempsoft[cli]"')
    except KeyboardInterrupt:
        sys.exit(130)
    app(prog_name="tempsoft")


if __name__ == "__main__":
    main()
