"""What the command line opens: the explorer as a Voilà app, and JupyterLab with the notebooks.

Both listen on this machine only and ask for a token, which the opened address carries.
"""

import json
import os
import secrets
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path

from traitlets.config import Config

from ..errors import FormatError, InputError
from .app import OPEN_VARIABLE

__all__ = ["notebooks_folder", "open_app", "open_lab"]

FIRST_PORT, LAST_PORT = 8888, 8988
LOOPBACK = "127.0.0.1"
LAB_PAGE = "/lab/tree/explore.ipynb"
SLOWEST = 120  # seconds for which a kernel may keep its page waiting


def open_app(files=(), topology=None, port=None, browser=True, *, units=None, timestep=None, mass=None):
    """Open the explorer in the browser; returns when it is ended (Ctrl-C).

    Parameters
    ----------
    files : sequence of path
        Trajectory or series files; none: the embedded demo.
    topology : path, optional
    port : int, optional
        Default: the first free one from 8888.
    browser : bool
        Open a browser; else only print the address.
    units : str, optional
    timestep : float, ps, optional
    mass : float, u, optional
        What the files do not say; see `load` and `load_series`.

    Raises
    ------
    InputError
        A file is not there, or the port is taken.
    """
    document = {"page": True, "folder": str(Path.cwd())}
    if files:
        source = {"kind": "files", "files": [_existing(file) for file in files]}
        if topology is not None:
            source["topology"] = _existing(topology)
        facts = {"units": units, "timestep": timestep, "mass": mass}
        source |= {name: value for name, value in facts.items() if value is not None}
        document["source"] = source
    os.environ[OPEN_VARIABLE] = json.dumps(document)
    # the kernel of this very Python, whatever else is installed for the user
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    _add_path("JUPYTER_PATH", Path(__file__).parent / "share")
    with _claimed_port(port) as port:
        _serve_app(port, browser)
    return 0


def open_lab(port=None, browser=True):
    """Open JupyterLab with a copy of the notebooks of the project; returns when it is ended (Ctrl-C).

    Parameters
    ----------
    port, browser
        As for `open_app`.
    """
    folder = _own_copy()
    with _claimed_port(port) as port:
        _serve_lab(folder, port, browser)
    return 0


def _serve_app(port, browser):
    token = secrets.token_urlsafe(18)
    settings = Config()
    settings.Voila = Config(
        {"ip": LOOPBACK, "port": port, "token": token, "open_browser": bool(browser), "log_level": "ERROR"}
    )
    settings.VoilaConfiguration = Config(
        {
            "file_allowlist": [],
            # what else is installed in this environment would only slow the first paint
            "extension_allowlist": [
                "@voila-dashboards/widgets-manager8",
                "@jupyter-widgets/jupyterlab-manager",
                "anywidget",
            ],
            "show_tracebacks": True,
            "template": "amaexplore",
        }
    )
    # a page that was closed or loaded anew leaves its kernel behind
    settings.MappingKernelManager = Config({"cull_idle_timeout": 90, "cull_interval": 30, "cull_connected": False})
    # where many pages open at once on a slow machine: without this the page is sent without the explorer when its kernel
    # says "done" four seconds before it says what it displays, and what a page is sent above 1 MB/s is dropped without a word
    settings.VoilaExecutor = Config({"iopub_timeout": SLOWEST})
    settings.ZMQChannelsWebsocketConnection = Config({"limit_rate": False})
    from tornado.ioloop import IOLoop
    from voila.app import Voila

    class Application(Voila):
        def listen(self):
            # told when it listens, so that the address answers
            IOLoop.current().add_callback(self.say_where)
            super().listen()

        def say_where(self):
            print(
                f"amaexplore: the explorer is at http://{LOOPBACK}:{self.port}/?token={token}\nEnd it with Ctrl-C.",
                flush=True,
            )

    Application.launch_instance(argv=[str(notebooks_folder() / "explore.ipynb")], config=settings)


def _serve_lab(folder, port, browser):
    token = secrets.token_urlsafe(18)
    arguments = [
        f"--ServerApp.root_dir={folder}",
        f"--port={port}",
        f"--ServerApp.ip={LOOPBACK}",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.open_browser={bool(browser)}",
        f"--LabApp.default_url={LAB_PAGE}",
        # nothing is asked of a network
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--log-level=ERROR",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    from jupyterlab.labapp import LabApp

    server = LabApp.initialize_server(argv=arguments)
    words = f"amaexplore: JupyterLab is at http://{LOOPBACK}:{port}{LAB_PAGE}?token={token}\nNotebooks: {folder}"
    # told when it listens, so that the address answers
    server.io_loop.add_callback(print, f"{words}\nEnd it with Ctrl-C.", flush=True)
    server.start()


def notebooks_folder():
    """Where the notebooks are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / "explore.ipynb").is_file():
            return folder
    raise InputError(f"The notebooks that belong to amaexplore are missing from {package}; install it again.")


def _own_copy():
    """A folder of the user's with the notebooks in it; what the user changed there is left alone."""
    import platformdirs

    target = Path(platformdirs.user_documents_dir()) / "amaexplore"
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(notebooks_folder().glob("*.ipynb")):
            if not (target / path.name).exists():
                shutil.copyfile(path, target / path.name)
    except OSError as error:
        raise InputError(f"The notebooks cannot be copied to {target}: {error.strerror or error}.") from None
    return target


def _add_path(variable, folder):
    """Put a folder in front of a path variable of this process and its children."""
    present = os.environ.get(variable)
    os.environ[variable] = f"{folder}{os.pathsep}{present}" if present else str(folder)


def _existing(file):
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise FormatError(f"There is no file {str(file)!r}; give the path of a trajectory or series file.")
    return str(path)


@contextmanager
def _claimed_port(port):
    """The port asked for, or the first free one.

    Two commands started at the same instant find the same port free. Each therefore claims it as long as it serves,
    with a UDP socket of the same number, which takes nothing from the server and is given back whatever ends it.

    Raises
    ------
    InputError
        It is taken, or no port number.
    """
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"{port} is not a port number; give one from 1024 to 65535.")
    for candidate in [port] if port is not None else range(FIRST_PORT, LAST_PORT):
        with socket.socket(type=socket.SOCK_DGRAM) as claim:
            try:
                claim.bind((LOOPBACK, candidate))
                with socket.socket() as probe:
                    probe.bind((LOOPBACK, candidate))
            except OSError:
                continue
            yield candidate
            return
    what = f"Port {port} is taken" if port is not None else f"No port from {FIRST_PORT} to {LAST_PORT} is free"
    raise InputError(f"{what} on this machine; give another with --port.")
