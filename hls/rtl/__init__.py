"""From a quantised network to measured hardware without a vendor tool: RTL, its simulation, its synthesis."""
