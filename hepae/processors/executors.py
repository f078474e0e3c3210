"""How jobs run: coffea's executors by name, and torch with one thread."""

from __future__ import annotations

import contextlib
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loky
from coffea import processor

from hepae.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hepae.files.compressed import CompressedFile

EXECUTORS = ("iterative", "futures", "dask", "parsl", "taskvine")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch, where it is loaded, with one thread.

    A worker has one core, and the last bits of a network's output depend on the number of threads. The threads that code
    clusters are counted in `hepae.threads`.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def decoding(file: CompressedFile) -> Iterator[None]:
    """Decode a compressed file's jets with one thread."""
    file.load_codecs()  # torch is loaded before its threads are set
    with one_thread():
        yield


@contextlib.contextmanager
def executor(name: str, *, workers: int = 1, scheduler: str | None = None) -> Iterator[Any]:
    """Start one of coffea's executors, and stop what was started for it.

    Parameters
    ----------
    name
        ``iterative`` (this process), ``futures`` (processes of this machine), ``dask``, ``parsl`` (the kernel that is
        loaded, else one of this machine) or ``taskvine``.
    workers
        Processes to start.
    scheduler
        Address of a running dask scheduler, ``tcp://HOST:PORT``, whose workers are used instead; for TaskVine the
        name of the manager that workers look for.

    Raises
    ------
    ConfigError
        If there is no such executor, or what it needs is not installed.
    """
    if name not in EXECUTORS:
        raise ConfigError(f"no executor {name!r}; choose one of {', '.join(EXECUTORS)}")
    if scheduler is not None and name not in ("dask", "taskvine"):
        raise ConfigError(
            f"the executor {name} has no scheduler; leave out --scheduler, or choose the executor dask or taskvine"
        )
    if name == "iterative":
        yield processor.IterativeExecutor(status=False)
    elif name == "futures":
        with loky.ProcessPoolExecutor(max_workers=workers) as pool:
            yield processor.FuturesExecutor(pool=pool, status=False)
    elif name == "dask":
        with _dask(workers, scheduler) as client:
            yield processor.DaskExecutor(client=client, status=False)
    elif name == "parsl":
        with _parsl(workers):
            yield processor.ParslExecutor(status=False)
    else:
        yield _taskvine(scheduler)


@contextlib.contextmanager
def _dask(workers: int, scheduler: str | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigError("the executor dask needs: pip install 'hepae[dask]'") from None
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
            stack.enter_context(cluster)
            scheduler = cluster.scheduler_address
        try:
            client = stack.enter_context(Client(scheduler))
        except OSError as error:
            raise ConfigError(f"no dask scheduler at {scheduler}: {error}") from None
        yield client


@contextlib.contextmanager
def _parsl(workers: int) -> Iterator[None]:
    try:
        import parsl
    except ImportError:
        raise ConfigError("the executor parsl needs: pip install 'hepae[parsl]'") from None
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    try:
        parsl.dfk()
    except parsl.errors.NoDataFlowKernelError:
        pass
    else:  # a kernel of the user's own, with the settings of a batch system for instance
        yield
        return
    scripts = sysconfig.get_path("scripts")  # of this environment, whether it is activated or not
    with tempfile.TemporaryDirectory() as folder:
        local = HighThroughputExecutor(
            label="hepae",
            address="127.0.0.1",
            max_workers_per_node=workers,
            cores_per_worker=1,
            interchange_launch_cmd=[str(Path(scripts) / "interchange.py")],
            provider=LocalProvider(init_blocks=1, max_blocks=1, worker_init=f'export PATH="{scripts}:$PATH"'),
        )
        config = parsl.Config(executors=[local], run_dir=folder, strategy="none", initialize_logging=False)
        with parsl.load(config):
            yield


def _taskvine(manager: str | None) -> Any:
    from coffea.processor import taskvine_executor

    if taskvine_executor.vine is None:
        raise ConfigError(
            "the executor taskvine needs ndcctools, which conda-forge has: conda install ndcctools"
        )
    return processor.TaskVineExecutor(manager_name=manager or "hepae", status=False)
