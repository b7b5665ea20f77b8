"""Reserving a port."""

import socket
from contextlib import ExitStack

import pytest

from ops.port import Port, PortTakenError, first_free

HOST = "127.0.0.1"


def test_a_reserved_port_is_refused_to_a_second_one() -> None:
    """Two `up`s that start at the same moment never share a port without noticing."""
    with Port(HOST, 0) as port, pytest.raises(PortTakenError, match=str(port.number)):
        Port(HOST, port.number)


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    """Whoever it is, with whatever options."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(PortTakenError):
            Port(HOST, other.getsockname()[1])


def test_our_api_may_listen_on_a_reserved_port_and_gets_every_connection() -> None:
    """Granian sets SO_REUSEPORT; the reservation itself answers nobody."""
    with Port(HOST, 0) as port, socket.socket() as api:
        api.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        api.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        api.bind((HOST, port.number))
        api.listen()
        api.settimeout(5)
        for _ in range(20):
            with socket.create_connection((HOST, port.number), timeout=5):
                accepted, _address = api.accept()
                accepted.close()
        with pytest.raises(PortTakenError):
            Port(HOST, port.number)


def test_a_taken_port_makes_way_for_the_next_free_one() -> None:
    """Where the port does not matter, a copy beside us is no error."""
    with ExitStack() as taken:
        first = taken.enter_context(Port(HOST, 0))
        found = taken.enter_context(first_free(HOST, first.number))
        assert found.number > first.number
