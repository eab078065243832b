"""What is said of each claim: rules and verdicts, pure functions of figures."""
