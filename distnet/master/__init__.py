"""The master: gives kernels ids, and routes messages between ids."""
