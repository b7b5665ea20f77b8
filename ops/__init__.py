"""The command line, the embedded servers, their supervision, and the doctor."""
