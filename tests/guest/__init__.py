"""The real-guest test bed: kernels in QEMU, under emulation, run by the tests."""
