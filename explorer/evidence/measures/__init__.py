"""What is measured for each claim; these modules load torch."""
