"""What to spend: allocations, their routes and cost, and the search over them. Imports no sibling package."""
