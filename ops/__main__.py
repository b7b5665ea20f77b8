"""`python -m ops`: what ./onsale becomes once everything is installed."""

from ops.cli import main

if __name__ == "__main__":
    main(prog_name="./onsale")
