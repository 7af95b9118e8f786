"""The front door: command line, pipeline, run folders."""
