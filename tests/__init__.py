"""The tests.

Small matrices are slower on many threads, and the machine may be shared: one thread, said before
anything loads torch or a BLAS, which read it once. Processes that tests start inherit it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
