"""Who: people, their records, identity, linkage, consent, eligibility and exposure."""
