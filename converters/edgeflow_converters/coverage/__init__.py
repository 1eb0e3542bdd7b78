"""How much of a suite of models each runtime takes, and how much of it right: `edgeflow coverage`.

A suite (suites.py) is models with inputs and the answers that they must give. Each case is converted, run and
judged by those answers (judge.py), on as many processors as there are (run.py); a book (book.py) keeps every
outcome, so that a run which was stopped goes on where it was.
"""
