"""One module for each command of `./onsale`; each offers a click command named `command`."""
