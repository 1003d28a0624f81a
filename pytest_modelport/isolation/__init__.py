"""A job that cannot hurt this process: forks, threads, and what the ways a job can end mean."""
