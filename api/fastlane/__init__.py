"""The fast lane: holds, purchases and availability on bare ASGI, in front of Litestar.

Litestar's routes of the same paths document these calls; docs/decisions/0013 says why.
"""
