"""What `benchmarks.durability` measures with: a disk that remembers what was synced, real processes, costs."""
