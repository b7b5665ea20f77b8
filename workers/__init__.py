"""The worker process: long-running tasks, and jobs by ARQ."""
