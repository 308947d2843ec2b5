"""The number of threads of linear algebra, when several blocks want one at once."""

import json
import os
import subprocess
import sys

OVERLAP = """
import json, threading
from threadpoolctl import ThreadpoolController
from amaexplore.threads import one_blas_thread

def counts():
    return sorted({lib["num_threads"] for lib in ThreadpoolController().info() if lib["user_api"] == "blas"})

with one_blas_thread():
    pass
seen = [counts()]
inside, leave = [threading.Event() for _ in range(3)], [threading.Event() for _ in range(3)]

def work(k):
    with one_blas_thread():
        inside[k].set()
        leave[k].wait(20)

workers = [threading.Thread(target=work, args=(k,)) for k in range(3)]
for k, worker in enumerate(workers):
    worker.start()
    assert inside[k].wait(20)
# first in, first out: the order in which what each saved on entering would be given back wrongly
for k, worker in enumerate(workers):
    seen.append(counts())
    leave[k].set()
    worker.join(20)
print(json.dumps([*seen, counts()]))
"""

BESIDE_OTHERS = """
import json, threading
import numpy as np
import amaexplore as ama

def density(*_):
    equation = ama.FokkerPlanck(
        ama.Grid(-1.5, 1.5, 96), mass=500.0, friction=400.0, potential=lambda R: 4.0 * R**2, temperature=240.0
    )
    return equation.evolve(("gaussian", -0.4, 0.3), np.linspace(0.0, 10.0, 21), method="modes").values

alone, found = density(), []
# of different lengths, so that some end while others are at work
workers = [threading.Thread(target=lambda n=n: [found.append(density()) for _ in range(n)]) for n in (1, 2, 3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(60)
found.append(density())
print(json.dumps([len(found), [bool(np.array_equal(values, alone)) for values in found]]))
"""


def two_threads(script):
    """What a script prints in a process whose linear algebra has two threads, however many cores there are."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_last_block_that_is_left_gives_the_threads_back():
    assert two_threads(OVERLAP) == [[2], [1], [1], [1], [2]]


def test_a_density_is_the_same_to_the_last_bit_beside_others():
    assert two_threads(BESIDE_OTHERS) == [7, [True] * 7]
