"""What users import: the QD client and the symbol master's client."""
