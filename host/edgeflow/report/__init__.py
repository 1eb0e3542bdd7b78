"""`edgeflow report`: results as one HTML file that needs no network, with every raw sample in it."""
