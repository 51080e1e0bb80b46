"""What a search knows and may spend: outcomes, scores on the way, observations, its budget, what samplers may ask."""
