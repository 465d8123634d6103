"""What makes a drive's record tamper-evident: keys, leaves, trees, seals, and the chain that they form."""
