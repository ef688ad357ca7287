"""Benchmarks of medplug: ``python -m benchmarks list | run NAME… | table [--data DIR]``, from the root of the repository.

A family of benchmarks is one module with a row in :data:`benchmarks.cli.FAMILIES`. What a run measured is a
record, a JSON file without any path; ``table`` draws all records into ``RESULTS.md``.
"""
