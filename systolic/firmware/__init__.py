"""From a trained network to verified firmware: the stages of `systolic firmware`."""
