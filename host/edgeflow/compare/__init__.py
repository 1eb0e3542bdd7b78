"""Two sets of results, cell by cell: what became slower, what faster, and how sure that is."""
