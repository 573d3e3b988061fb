"""The main job, end to end: `job` does it, `views` show it, `result` sums it up."""
