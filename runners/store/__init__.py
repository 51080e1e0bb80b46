"""The store of blocks on disk: records, rollouts, leases, and what may be evicted."""
