"""The reason, written into the graph that decides: by which method, at which layer, and where its cells lie."""
