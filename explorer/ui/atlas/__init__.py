"""The Atlas page: all neurons on one map."""
