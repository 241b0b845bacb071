"""What tests stand on: a conda channel, wheels and an index, servers with faults, a cache for what is slow."""
