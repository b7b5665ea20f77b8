"""What clients of the tests take for TLS: they speak plainly, to this machine's own servers."""

import ssl
from typing import Final

NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. To load all authorities takes 25 ms of CPU for each client that is made."""
