"""Locust scenarios: traffic that ticket shops have seen, for any deployment.

Each takes its target from the environment (TARGET_API_KEY, TARGET_SHOW) and from Locust's options
(`--host`, `--users`, `--spawn-rate`, `--run-time`). `./onsale spike` runs them and audits after.
"""
