"""One visit to the page: what a browser sent, read so that nothing it can send is an error."""

import re
from typing import Final
from urllib.parse import quote

from engine.waitingroom.tokens import MAX_AGE_S
from web.browser import Browser, PageRequest
from web.room import CameFrom

COOKIE: Final = "onsale-queue"
COOKIE_AGE_S: Final = int(MAX_AGE_S)
"""A token that is older is refused."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~:-]{1,512}")
_RETRY_S_MAX: Final = 60


class Visit(Browser):
    """What was asked for."""

    def __init__(self, request: PageRequest, show: str, form: bytes = b"") -> None:
        """Take the request, the show that its path names, and the form that came with it."""
        super().__init__(request, form)
        self._scheme = request.scope["scheme"]
        self.show = show
        client = request.scope["client"]
        # Proxies may add a line instead of prolonging one.
        forwarded = ", ".join(self.lines(b"x-forwarded-for"))
        self.came_from = CameFrom(client[0] if client else "", forwarded)

    @property
    def token(self) -> str | None:
        """The token that the browser kept, if it looks like one."""
        return self.cookie(COOKIE, _TOKEN)

    @property
    def return_text(self) -> str | None:
        """Where the seller's link wants people to go on to."""
        return self.query.get("return")

    @property
    def identity(self) -> str | None:
        """What the reseller signed for who it is: from the link, later from the form."""
        return self.form.get("identity") or self.query.get("identity")

    @property
    def wants_another(self) -> bool:
        """Whether another number is asked for, after the one whose pass has ended."""
        return self.form.get("again") == "1"

    @property
    def retry_after_s(self) -> int | None:
        """After how long a pass that was not ready yet is asked for again."""
        given = self.query.get("retry", "")
        if not re.fullmatch(r"[0-9]{1,3}", given):
            return None
        return min(max(int(given), 1), _RETRY_S_MAX)

    def here(self, **more: str) -> str:
        """Return this page's own address, with the return address that it came with."""
        return self.address_of("", **more)

    def address_of(self, tail: str, **more: str) -> str:
        """Return the address of one of the page's forms."""
        parameters = {"return": self.return_text} | more if self.return_text else more
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in parameters.items())
        path = f"/queue/{quote(self.show, safe='')}{tail}"
        return f"{path}?{query}" if query else path

    def keep(self, token: str) -> dict[str, str]:
        """Return the header that lets the browser keep a token for this show's page alone."""
        return {"Set-Cookie": f"{COOKIE}={token}; Max-Age={COOKIE_AGE_S}; {self._cookie_scope}"}

    def forget(self) -> dict[str, str]:
        """Return the header that lets the browser forget its token."""
        return {"Set-Cookie": f"{COOKIE}=; Max-Age=0; {self._cookie_scope}"}

    @property
    def _cookie_scope(self) -> str:
        # A proxy may have taken the TLS off; the browser itself tells what it sees, in Origin.
        seen = (self._scheme, self.header(b"x-forwarded-proto"), self.header(b"origin") or "")
        secure = "; Secure" if any((one or "").startswith("https") for one in seen) else ""
        return f"Path=/queue/{quote(self.show, safe='')}; HttpOnly; SameSite=Lax{secure}"
