"""The tests' own promises: no network."""

import socket

import pytest


def test_a_connection_to_another_machine_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="no network"):
        sock.connect(("127.0.0.1", 9))


def test_a_local_socket_still_works() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"
