"""A fleet whose devices hang on several hosts: jobs go to lab hosts as tasks of Dask, results come home."""
