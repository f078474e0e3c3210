"""What several test modules use: real data, a small trained codec, and trees of any branches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import uproot
from hypothesis import settings

import hepae
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter
from hepae.samples import sample_path

# where ROOT is installed or not, the tests do the same; some ask for it
os.environ.setdefault("HEPAE_ROOT", "off")
settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use."""
    for item in items:
        used = {*getattr(item, "fixturenames", ())}
        if "data" in used:
            item.add_marker("real_data")
        if used & {"dask_scheduler", "parsl_kernel", "parallel"}:
            item.add_marker("jobs")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real jets; tests that need it skip, and say so, where there is none."""
    folder = os.environ.get("HEPAE_DATA")
    if not folder:
        pytest.skip("HEPAE_DATA is not set: this test reads real files, which CONTRIBUTING.md lists")
    return Path(folder)


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from hepae.cli import main
try:
    main(sys.argv[1:])
finally:
    with open("/proc/self/status") as status:  # ru_maxrss would be at least what pytest itself takes
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print("MB:", int(kilobytes) // 1000, file=sys.stderr)
"""


@pytest.fixture(scope="session")
def limited():
    """Run the command line in 20 s of one processor and 4 GB of addresses; give its status, output and MB of memory."""

    def run(*arguments):
        command = [sys.executable, "-c", _LIMITED, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        *errors, memory = done.stderr.splitlines() or [""]
        assert memory.startswith("MB: "), done
        return done.returncode, done.stdout, errors, int(memory[4:])

    return run


_FORKED = """
import json, os, resource, signal, sys
import hepae.cli, hepae.files.compress, hepae.files.decompress, hepae.latent.codec, pyarrow.parquet, h5py, pandas, rich.table
from hepae.cli import main

def watch(event, arguments):
    if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect") or (
        event == "open" and "secret" in str(arguments[0])
    ):
        os.write(2, f"watched: {event} {arguments}\\n".encode())

for line in sys.stdin:
    arguments = json.loads(line)
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        signal.alarm(300)
        out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.addaudithook(watch)
        code = 99
        try:
            main(arguments)
            code = 0
        except SystemExit as error:
            code = error.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    with open(sys.argv[1], errors="replace") as text:
        said = text.read()
    seconds = usage.ru_utime + usage.ru_stime
    found = os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1000, seconds, said
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Run the command line in forks of one process: 3 GB of addresses, a minute of one processor, five minutes in all.

    Gives the status, MB of memory, seconds of processor time and what was printed, with a line ``watched: ...`` for each program that was
    started, each connection, and each file named secret that was opened.
    """
    said = tmp_path_factory.mktemp("said") / "said"
    command = [sys.executable, "-c", _FORKED, str(said)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def one(*arguments):
            process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield one
        process.stdin.close()


@pytest.fixture(scope="session")
def sample() -> Path:
    return sample_path()


@pytest.fixture(scope="session")
def codec(sample):
    """A small codec of pt, eta, phi, mass, trained for one epoch on the bundled sample."""
    network = hepae.AutoencoderConfig(hidden=(16, 8))
    return hepae.train(hepae.read_jets(sample), hepae.TrainingConfig(epochs=1, network=network)).codec


@pytest.fixture
def figures(monkeypatch):
    """Figures by the path that they would have: they are drawn, but no files are written."""
    drawn = {}

    def keep(figure, path):
        drawn[path] = figure
        return [path.with_name(f"{path.name}.png")]

    monkeypatch.setattr("hepae.validation.canvas.save", keep)
    return drawn


@pytest.fixture
def make_tree(tmp_path):
    """Write a tree of named arrays and give its path."""

    def make(arrays, name="jets.root", tree="Events", counters=None):
        path = tmp_path / name
        branches = []
        for branch, array in arrays.items():
            jagged = array.ndim > 1 and getattr(array, "layout", None) is not None
            dtype = array.layout.content.dtype if jagged else array.dtype
            shape = () if jagged else array.shape[1:]
            branches.append(Branch(branch, dtype, jagged, (counters or {}).get(branch), shape))
        with uproot.recreate(path) as file:
            TreeWriter(file, tree, branches).extend(arrays)
        return path

    return make


@pytest.fixture(scope="session")
def dask_scheduler():
    """Address of a dask cluster of two processes."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="session")
def parsl_kernel():
    """A Parsl kernel of two processes; executors use the one that is loaded."""
    pytest.importorskip("parsl", reason="the extra parsl is not installed")
    from hepae.processors.executors import executor

    with executor("parsl", workers=2):
        yield
