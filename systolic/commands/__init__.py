"""One file a command: its options, the one function it calls, what it shows. Heavy modules load inside."""
