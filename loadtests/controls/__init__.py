"""What the platform's figures are compared with: honest servers of the same hold, made otherwise.

Each is an ASGI application, served exactly as the API is. None of them asks for an API key, which
only helps them.
"""
