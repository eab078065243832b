"""The server beside the pages: what it does as it starts, and the files it sends."""
