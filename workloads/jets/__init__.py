"""Jets of simulated proton collisions: the data set that ships, its file format, and the generator that makes more."""
