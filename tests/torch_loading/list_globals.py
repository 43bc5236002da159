"""Print the globals that torch's ``weights_only`` loader allows by default, one per line."""

import sys

from torch import _weights_only_unpickler as unpickler


def main() -> None:
    for name in sorted(unpickler._get_allowed_globals()):
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
