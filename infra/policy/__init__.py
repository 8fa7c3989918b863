"""The policy pack: what no stack may be without, whoever changes the program."""
