"""The COMPILER for the machine: what runs where, integer programs, schedules, code generation."""
