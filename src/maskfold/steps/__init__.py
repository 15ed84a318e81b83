"""The way from a competition to a submission, a function for each step: what a program calls and a command runs."""
