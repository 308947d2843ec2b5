"""Sampling spread over processes and over a Dask cluster: the numbers do not depend on where they were made."""

import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

import amaexplore as ama
from amaexplore.errors import Cancelled
from amaexplore.simulate.parallel import job_seed, run_jobs
from amaexplore.simulate.systems import argon_nanoparticle

OPTIONS = {"duration": 4.0, "equilibration": 1.6, "n_replicas": 2, "seed": 8}
PLACES = [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]


def square(x, progress):
    if progress is not None:
        progress(0.5)
    return x * x


@pytest.fixture(scope="module")
def alone():
    return ama.sample_held(argon_nanoparticle(n_atoms=180, density=0.4), PLACES, workers=1, **OPTIONS)


def same(first, second):
    for name in ("positions", "mean_force", "mean_force_std", "friction", "theta_raw", "temperature"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_processes_give_the_numbers_of_one(alone):
    same(ama.sample_held(argon_nanoparticle(n_atoms=180, density=0.4), PLACES, workers=2, **OPTIONS), alone)


def test_a_dask_cluster_gives_the_numbers_of_one(alone):
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    )
    with cluster, distributed.Client(cluster) as client:
        seen = []
        result = ama.sample_held(
            argon_nanoparticle(n_atoms=180, density=0.4),
            PLACES,
            client=client,
            progress=lambda fraction, text: seen.append(fraction),
            **OPTIONS,
        )
    same(result, alone)
    assert seen[-1] == 1.0


@pytest.fixture
def cluster_of_processes(tmp_path):
    """A scheduler and a worker of their own, as on a machine of many: a worker that dies is started again beside."""
    import distributed

    file, environment = tmp_path / "scheduler.json", os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    here = ["--scheduler-file", str(file), "--no-dashboard"]
    started = []
    try:
        for program in (["scheduler", "--port", "0"], ["worker", "--nthreads", "1"]):
            with (tmp_path / f"{program[0]}.log").open("w") as log:
                command = [sys.executable, "-m", "dask", *program, *here]
                started.append(subprocess.Popen(command, env=environment, stderr=log, cwd=tmp_path))
            wait_for(file)
        with distributed.Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
            yield client
    finally:
        for process in started:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
            process.wait()


def wait_for(file, patience=60.0):
    end = time.monotonic() + patience
    while not file.exists():
        assert time.monotonic() < end, f"nobody wrote {file.name} in {patience:g} s"
        time.sleep(0.05)


def test_a_worker_that_dies_is_replaced_and_one_job_that_kills_them_all_is_named(tmp_path, cluster_of_processes):
    def fatal(job, progress):
        """Ends its worker: the first time, or whenever it comes to job 13."""
        import os

        died = tmp_path / f"died-{job}"
        if job == 13 or (job == 1 and not died.exists()):
            died.touch()
            os.kill(os.getpid(), 9)
        return job * job

    # a job is given up when it ended two workers
    client = cluster_of_processes
    assert run_jobs(fatal, [0, 1, 2], client=client) == [0, 1, 4]
    assert (tmp_path / "died-1").exists()
    with pytest.raises(ama.AmaError, match=r"ended 2 workers of the Dask cluster, the last at tcp://\S+; look into"):
        run_jobs(fatal, [0, 13], client=client)
    assert run_jobs(fatal, [3], client=client) == [9]


def lasting(job, progress):
    import time

    time.sleep(0.3)
    return job


@pytest.fixture
def small_cluster():
    import distributed

    local = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50
    )
    with local, distributed.Client(local) as client:
        yield local, client


def test_a_cluster_without_workers_says_so_and_goes_on_when_some_come(small_cluster):
    local, client = small_cluster
    said = []

    def leave_and_come(fraction, text):
        if not said:
            local.scale(0)
        if "no workers" in text:
            local.scale(1)
        said.append(text)

    assert run_jobs(lasting, [1, 2, 3, 4, 5, 6], client=client, progress=leave_and_come) == [1, 2, 3, 4, 5, 6]
    assert "the Dask cluster has no workers left; start some with 'dask worker ADDRESS'" in said
    assert said[-1] == "simulating"


def test_a_cluster_that_stays_without_workers_ends_the_wait(small_cluster, monkeypatch):
    local, client = small_cluster
    monkeypatch.setattr("amaexplore.trajectory.cluster.PATIENCE", 1.5)
    with pytest.raises(ama.AmaError, match=r"Waited for 1\.5 s: the Dask cluster has no workers left; start some"):
        run_jobs(lasting, list(range(20)), client=client, progress=lambda fraction, text: local.scale(0))


def test_work_on_a_cluster_is_cancelled_while_nothing_comes(small_cluster):
    local, client = small_cluster

    def stop(fraction, text):
        local.scale(0)
        if "no workers" in text:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        run_jobs(lasting, list(range(20)), client=client, progress=stop)


def test_a_scheduler_that_goes_away_is_named(small_cluster):
    local, client = small_cluster
    with pytest.raises(ama.AmaError, match="The Dask scheduler went away"):
        run_jobs(lasting, list(range(20)), client=client, progress=lambda fraction, text: local.close())


def test_jobs_keep_their_order_and_progress_rises():
    seen = []
    assert run_jobs(square, [3, 1, 2], workers=1, progress=lambda f, t: seen.append(f)) == [9, 1, 4]
    assert seen == sorted(seen)
    assert len(seen) == 6

    def stop(fraction, text):
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        run_jobs(square, [1, 2], workers=1, progress=stop)
    with pytest.raises(ama.InputError, match="workers"):
        run_jobs(square, [1], workers=0)


def test_seeds_of_jobs_differ_and_do_not_depend_on_their_number():
    seeds = {job_seed(1, place, replica) for place in range(20) for replica in range(5)}
    assert len(seeds) == 100
    assert job_seed(1, 3, 2) == job_seed(1, 3, 2)
    assert job_seed(1, 3, 2) != job_seed(2, 3, 2)
