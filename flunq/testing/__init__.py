"""Virtual time and the seeded simulation of a whole cluster; never imported by the engine."""
