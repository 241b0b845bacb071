"""Review: what a pull request about recipes and locks needs to be read, judged, merged and published.

Theory: recipes and locks are text in Git, and a lock holds all that an environment is. So what changed, whether it may,
how two branches join and what a merge means for the store's names are questions about values: nothing is fetched,
nothing is realized to answer them. Only what Git holds is read, by one process that hands out many blobs.

Rules of the room: questions are answered by pure modules (comparison, reasons, policy, text); Git, the working tree and
the stores are read by those beside them, which give values; the verbs put both together.
"""
