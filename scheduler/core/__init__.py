"""Arithmetic and data structures of the scheduler.

The layer rule: nothing here does I/O, awaits, reads a clock or draws a random number. Instants are
integers in nanoseconds and are passed in; randomness is passed in; only the standard library is imported.
"""
