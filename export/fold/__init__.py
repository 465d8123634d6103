"""Passes that leave a graph as few and as cheap operators as possible, exact to float rounding."""
