"""Who may connect: CURVE keys, the list of who is allowed with their roles, and the gate before each tcp socket."""
