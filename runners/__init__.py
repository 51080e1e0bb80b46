"""How labels are spent: scenarios, the label ledger, blocks, stages, the store and the engine that runs routes."""
