"""Whether an explanation is worth showing: does it name what the decision hangs on, and does it hang on the network?"""
