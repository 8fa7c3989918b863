"""The parts of a stack, one component resource each."""
