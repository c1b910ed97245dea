"""Runs of isacsim on a cluster: the executor `dask`."""
