"""What this machine has, what is missing, and how to mend it. Each check looks at one thing for real."""
