"""``plaint up``: every stage on this machine, supervised, and what became of every post of a run."""
