from simulation_fixtures import for_each_seed

__all__ = ["for_each_seed"]
