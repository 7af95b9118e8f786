"""An integer-only network as commands: what runs as one program, the program of each step, and all of them executed."""
