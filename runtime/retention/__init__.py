"""Room on the disk: what is deleted to make it, what is kept back for the end, what is given up where there is none."""
