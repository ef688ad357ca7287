"""Memory: what steps need, what the machine has, and how batches are cut, by hand and with injected figures."""

import jax
import jax.numpy as jnp
import pytest

from medplug.errors import UsageError
from medplug.train.memory import (
    fitting_micro_batch,
    free_memory,
    gigabytes,
    is_out_of_memory,
    program_memory,
    smaller_micro_batch,
    told_smaller,
)


class Device:
    """A device that says what it is told to say."""

    def __init__(self, platform="cpu", stats=None):
        self.platform, self._stats = platform, stats

    def memory_stats(self):
        return self._stats


def test_a_compiled_function_tells_its_arguments_results_and_what_is_between():
    x = jnp.ones((256, 256), jnp.float32)
    plain = jax.jit(lambda x: x + 1).lower(x).compile()
    given = jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()
    assert program_memory(plain) == pytest.approx(2 * x.nbytes, rel=0.01)
    assert program_memory(given) == pytest.approx(x.nbytes, rel=0.01)  # the result lies where the argument was
    between = jax.jit(lambda x: jnp.linalg.qr(x @ x.T)[0].sum()).lower(x).compile()
    assert program_memory(between) > 2 * x.nbytes


def test_the_least_of_what_the_system_and_the_group_have(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    assert free_memory(Device(), tmp_path) == 4_096_000
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1000000\n")
    assert free_memory(Device(), tmp_path) == 4_096_000
    (group / "memory.max").write_text("3000000\n")
    (group / "memory.stat").write_text("anon 5\ninactive_file 200000\n")
    assert free_memory(Device(), tmp_path) == 2_200_000  # files in the cache give way


def test_older_groups_are_read_too(tmp_path):
    group = tmp_path / "sys" / "fs" / "cgroup" / "memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("5000\n")
    (group / "memory.usage_in_bytes").write_text("1000\n")
    assert free_memory(Device(), tmp_path) == 4000


def test_an_accelerator_says_what_jax_may_take_of_it(tmp_path):
    assert free_memory(Device("gpu", {"bytes_limit": 100, "bytes_in_use": 30}), tmp_path) == 70
    assert free_memory(Device("gpu", None), tmp_path) is None


def test_this_machine_has_memory():
    free = free_memory()
    assert free is None or free > 50e6


def test_a_batch_is_cut_until_it_fits():
    asked = []

    def estimate(micro):
        asked.append(micro)
        return 100 + 10 * micro

    assert fitting_micro_batch(estimate, free=1000, batch=32, micro=32) == 32  # 420 of 900 that may be used
    assert fitting_micro_batch(estimate, free=250, batch=32, micro=32) == 8  # 180 of 225
    assert asked == [32, 32, 16, 8]
    assert fitting_micro_batch(lambda micro: None, free=1, batch=32, micro=32) == 32  # nobody knows
    assert fitting_micro_batch(estimate, free=None, batch=32, micro=32) == 32


def test_not_even_one_image_fits():
    with pytest.raises(UsageError, match=r"110 MB even with one image at a time, but 90 MB are free; .*--size"):
        fitting_micro_batch(lambda micro: 10**8 + 10**7 * micro, free=90_000_000, batch=8, micro=4)


def test_parts_divide_the_batch():
    assert [smaller_micro_batch(32, n) for n in (32, 16, 2, 1)] == [16, 8, 1, None]
    assert [smaller_micro_batch(30, n) for n in (30, 15, 6, 3)] == [15, 6, 3, 1]
    assert smaller_micro_batch(31, 31) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 812 bytes."), True),
        (RuntimeError("CUDA: out of memory"), True),
        (MemoryError(), True),
        (jax.errors.JaxRuntimeError("INTERNAL: something else"), False),
    ],
)
def test_errors_that_mean_memory(error, expected):
    assert is_out_of_memory(error) == expected


def test_it_is_told_what_the_cut_means():
    same = told_smaller(32, 32, 8, live_statistics=False)
    assert "8 at once now" in same
    assert "gradients of 4 such parts" in same
    assert same.endswith("and the result is the same")
    assert "sees 8 images at a time, which changes the result" in told_smaller(32, 32, 8, live_statistics=True)


def test_bytes_for_people():
    assert gigabytes(1_540_000_000) == "1.5 GB"
    assert gigabytes(20_400_000) == "20 MB"
    assert gigabytes(4096) == "4 kB"
