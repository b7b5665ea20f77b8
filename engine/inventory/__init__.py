"""The hot core: manifests, keys, scripts, lanes, holds, purchases, recovery."""
