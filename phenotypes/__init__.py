"""What they have: code lists, rules, phenotypes, traits and outcomes."""
