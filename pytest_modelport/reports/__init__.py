"""What is made of verdicts afterwards: text, pages, a release, a decision."""
