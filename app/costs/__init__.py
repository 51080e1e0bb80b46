"""What blocks and scores will cost, and how often labels are trained on."""
