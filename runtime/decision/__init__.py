"""From the network's word to the vehicle's command: a chain of pure, recorded steps."""
