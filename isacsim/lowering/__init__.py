"""From Numba's statements to LLVM's and on to machine code, for what kernels do most, with less work than Numba.

It leans on classes within Numba, and is imported when something is compiled, where Numba is one that it was tried with.
"""
