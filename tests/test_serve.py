"""Where the served pages are: an address is told when something answers there, and it is nobody else's."""

import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from browser import App
from explorer_systems import write_series

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


LATE = """
import ipykernel.iostream as stream, time

# a kernel on a busy machine: what it displays comes seconds after it has answered
send = stream.IOPubThread._really_send
def late(thread, message, *more, **options):
    if b"widget-view+json" in b"".join(bytes(part) for part in message):
        time.sleep(5.0)
    return send(thread, message, *more, **options)
stream.IOPubThread._really_send = late
stream.OutStream.flush_timeout = 0.1
"""


def test_a_page_waits_for_a_kernel_that_is_late(tmp_path):
    """Voilà's own four seconds would give a page without the explorer in it."""
    startup = tmp_path / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "late.py").write_text(LATE)
    file = write_series(tmp_path / "particle.csv")
    own = {"IPYTHONDIR": str(tmp_path / ".ipython"), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    app = App(["explore", str(file), "--no-browser"], tmp_path, **own)
    try:
        began = time.monotonic()
        with urllib.request.urlopen(app.url, timeout=120) as answer:
            text = answer.read().decode()
        assert time.monotonic() - began > 5.0
        assert "application/vnd.jupyter.widget-view+json" in text
    finally:
        app.close()


def test_nothing_a_page_is_sent_is_dropped(monkeypatch):
    """Jupyter drops what is above 1 MB/s; that is for programs that print without end."""
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
    from voila.app import Voila

    given = {}
    monkeypatch.setattr(Voila, "launch_instance", classmethod(lambda _cls, **options: given.update(options)))
    serve.open_app(browser=False)
    connection = given["config"].ZMQChannelsWebsocketConnection
    assert ZMQChannelsWebsocketConnection.limit_rate.default_value is True
    assert connection.limit_rate is False
