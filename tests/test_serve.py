"""Where the served pages are: an address is told when something answers there, and it is nobody else's."""

import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from browser import App

from amaexplore.errors import InputError
from amaexplore.explorer import serve


@pytest.mark.parametrize("command", ["explore", "lab"])
def test_two_started_at_the_same_instant_have_two_addresses(tmp_path, command):
    """Both find the same port free; the one that comes second takes another."""

    def start(name):
        folder = tmp_path / name
        folder.mkdir()
        own = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder)}
        return App([command, "--no-browser"], folder, **own)

    with ThreadPoolExecutor() as pool:
        running = list(pool.map(start, ("one", "two")))
    try:
        addresses = [app.url.split("?")[0] for app in running]
        assert len(set(addresses)) == 2, addresses
        for app in running:
            with urllib.request.urlopen(app.url, timeout=30) as answer:
                assert answer.status == 200
            # without the token one is sent to log in
            bare = app.url.split("?")[0]
            with urllib.request.urlopen(bare, timeout=30) as answer:
                assert "/login" in answer.url
    finally:
        for app in running:
            app.close()


def test_a_port_that_is_taken_is_said():
    with socket.socket() as other:
        other.bind((serve.LOOPBACK, 0))
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} is taken"):
            serve.open_app(port=port, browser=False)
