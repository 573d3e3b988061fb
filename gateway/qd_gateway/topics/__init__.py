"""The gateway's topics: what it reads and writes, and those that it makes and removes."""
