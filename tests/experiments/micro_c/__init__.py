"""How micro-c was built so that its best split lies inside: the runs on which it was tuned."""
