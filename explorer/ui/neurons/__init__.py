"""The Neurons page: all neurons as cards or a table."""
