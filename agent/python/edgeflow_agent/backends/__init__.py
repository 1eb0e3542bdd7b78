"""One file per runtime. A worker imports exactly the one it was asked for."""
