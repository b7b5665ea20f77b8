"""Webhooks: tells resellers' endpoints of facts, each at least once, in order per object.

`fan_out` makes deliveries of facts, `dispatch` gives endpoints to couriers, a `courier` tells one
endpoint by means of `sending`, and `results` writes down what came of it. docs/WEBHOOKS.md says
what receivers may rely on.
"""
