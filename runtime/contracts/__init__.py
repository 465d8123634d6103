"""What the parts of Sightline promise each other. Each contract has one module and is defined nowhere else."""
