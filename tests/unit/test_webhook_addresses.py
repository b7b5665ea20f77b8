"""Which addresses webhooks may go to: nothing leads into our own network."""

import asyncio
import gc
import ipaddress
import socket
import threading
from collections.abc import Iterator

import pytest
from aiohttp.abc import ResolveResult

from engine.notify.addresses import (
    AddressRefusedError,
    find_url_fault,
    is_allowed,
)
from engine.notify.posting import HttpWire
from engine.notify.resolving import CheckedResolver, open_checked_socket
from engine.notify.sending import Sender

REFUSED = (
    *("0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1"),  # noqa: S104 - to be refused
    *("127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8"),
    *("192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1"),
    *("239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "3fff::1"),
    *("5f00::1", "2001:10::1", "2001:20::1", "2002:a9fe:a9fe::1"),
)
ALLOWED = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111")


@pytest.mark.parametrize("text", REFUSED)
def test_special_addresses_are_refused(text: str) -> None:
    """In the registry's terms, in a URL, and for a socket."""
    address = ipaddress.ip_address(text)
    assert not is_allowed(address, private=False)
    host = f"[{text}]" if ":" in text else text
    assert find_url_fault(f"https://{host}/", private=False) is not None
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    with pytest.raises(AddressRefusedError):
        open_checked_socket((family, socket.SOCK_STREAM, 6, "", (text, 443)), private=False)


@pytest.mark.parametrize("text", ALLOWED)
def test_public_addresses_are_allowed(text: str) -> None:
    """In the same places."""
    assert is_allowed(ipaddress.ip_address(text), private=False)
    host = f"[{text}]" if ":" in text else text
    assert find_url_fault(f"https://{host}:8443/hooks?x=1", private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        # Numbers in disguise: decimal, octal, hexadecimal, short forms.
        *("https://2130706433/", "https://0x7f000001/", "https://017700000001/"),
        *("https://127.1/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.0.0.1./"),
        *("https://0/", "https://3232235521/", "https://%31%32%37.0.0.1/"),
        # Names of our own network.
        *("https://localhost/", "https://db/", "https://metadata.google.internal/"),
        *("https://printer.local/", "https://a.localhost/", "https://localhost./"),
        *(
            "https://kubernetes.default.svc.cluster.local/",
            "https://x.lan/",
            "https://x.internal./",
        ),
        # Other schemes, users, fragments, and what parsers read in two ways.
        *("http://shop.example.com/", "ftp://shop.example.com/", "file:///etc/passwd"),
        *("gopher://shop.example.com/", "//shop.example.com/", "shop.example.com", "https:"),
        *("https://", "https:///x", "https://me@shop.example.com/"),
        *("https://me:pw@shop.example.com/", "https://shop.example.com@10.0.0.1/"),
        *("https://shop.example.com\\@10.0.0.1/", "https://shop.example.com/ x"),
        *(
            "https://shop.example.com/#x",
            "https://shop.example.com/\tx",
            "https://sh\nop.example.com",
        ),
        *("https://\uff11\uff12\uff17.0.0.1/", "https://shop\u3002example.com/"),
        # Ports of services inside.
        *("https://shop.example.com:22/", "https://shop.example.com:6379/"),
        *("https://shop.example.com:5432/", "https://shop.example.com:80/"),
        *("https://shop.example.com:0/", "https://shop.example.com:99999/"),
        "https://shop.example.com/" + "x" * 1000,
    ],
)
def test_urls_that_nobody_honest_needs_are_refused(url: str) -> None:
    """With a reason, and never by an exception."""
    assert find_url_fault(url, private=False)


@pytest.mark.parametrize(
    "url",
    [
        *("https://shop.example.com/", "https://shop.example.com:443/a?b=c&d=%20"),
        *("https://xn--bcher-kva.example.com/hooks", "HTTPS://Shop.Example.com/", "https://a.co"),
    ],
)
def test_ordinary_urls_are_allowed(url: str) -> None:
    """By name."""
    assert find_url_fault(url, private=False) is None


def test_loopback_passes_only_where_it_is_allowed() -> None:
    """By http too, and nothing else of what is private."""
    for url in ("http://127.0.0.1:8080/", "http://localhost:8080/", "https://[::1]:1234/"):
        assert find_url_fault(url, private=True) is None
        assert find_url_fault(url, private=False) is not None
    for url in ("http://10.0.0.1/", "http://shop.example.com/", "https://169.254.169.254/"):
        assert find_url_fault(url, private=True) is not None


class Rebinding(CheckedResolver):
    """A name server that tells something else each time."""

    def __init__(self, *answers: list[str]) -> None:
        """Take what is told, one after the other."""
        super().__init__(private=False)
        self.answers: Iterator[list[str]] = iter(answers)

    async def look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> list[tuple[int, str]]:
        """Tell the next."""
        del host, port, family
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in next(self.answers)
        ]


async def test_a_name_that_leads_inside_is_refused() -> None:
    """Also if only one of its addresses does."""
    for answer in (["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1"]):
        resolver = Rebinding(answer)
        with pytest.raises(AddressRefusedError):
            await resolver.resolve("shop.example.com", 443)
        await resolver.close()
    resolver = Rebinding(["8.8.8.8"])
    [found] = await resolver.resolve("shop.example.com", 443)
    assert (found["host"], found["port"]) == ("8.8.8.8", 443)
    await resolver.close()


async def test_a_name_that_is_bound_anew_leads_nowhere() -> None:
    """It is resolved at each attempt, and nothing is sent where it leads inside."""
    resolver = Rebinding(["127.0.0.1"], ["169.254.169.254"])
    sender = Sender(private=False, wire=HttpWire(private=False, resolver=resolver))
    for _ in range(2):
        sent = await sender.send("https://shop.example.com:8443/", {}, b"{}")
        assert sent.status is None
        assert sent.error == "not sent: its address is not on the public Internet"
    await sender.close()


class Careless(Rebinding):
    """A resolver that checks nothing: the last net must hold alone."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return it unchecked."""
        return [
            ResolveResult(hostname=host, host=where, port=port, family=kind, proto=0, flags=0)
            for kind, where in await self.look_up(host, port, family)
        ]


async def test_the_socket_itself_is_checked() -> None:
    """Whatever the resolver told."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    wire = HttpWire(private=False, resolver=Careless(["127.0.0.1"]))
    sender = Sender(private=False, wire=wire)
    sent = await sender.send(f"https://shop.example.com:{port}/", {}, b"{}")
    assert sent.error == "not sent: its address is not on the public Internet"
    server.setblocking(False)  # noqa: FBT003 - the library's
    with pytest.raises(BlockingIOError):
        server.accept()
    server.close()
    await sender.close()


async def test_the_first_messages_share_their_connections() -> None:
    """However many come before there are any; none is left open."""
    unused = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    unused.close()
    sender = Sender(private=True)
    sent = await asyncio.gather(*(sender.send(url, {}, b"{}") for _ in range(5)))
    assert {one.error for one in sent} == {"no connection to be had"}
    await sender.close()
    gc.collect()  # it would warn of connections that nobody closed


async def test_names_that_hang_keep_nobody_from_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many do: who is well asks in threads of their own, and a name has one thread."""
    over = threading.Event()
    asked: list[str] = []

    def hang(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host.startswith("hangs"):
            over.wait(20)
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    sender = Sender(private=False)
    urls = [f"https://hangs-{n % 70}.example.com/" for n in range(140)]
    hanging = [asyncio.create_task(sender.send(url, {}, b"{}")) for url in urls]
    try:
        await asyncio.sleep(0.5)
        assert len(asked) >= 64
        sent = await sender.send("https://shop.example.com/", {}, b"{}", doubtful=False)
        assert sent.error == "not sent: its address is not on the public Internet"
        assert len(asked) <= 71
    finally:
        over.set()
        await asyncio.gather(*hanging)
        await sender.close()


@pytest.mark.parametrize(
    "url", ["https://xn--/", "https://xn--a.com/", "https://[", "https://a..b/"]
)
def test_hosts_that_are_none_are_told_so(url: str) -> None:
    """And are no fault of this side."""
    find_url_fault(url, private=False)
    assert find_url_fault("https://xn--/", private=False) == "must be a URL"
