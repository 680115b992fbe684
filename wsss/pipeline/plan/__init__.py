"""From a validated pipeline to jobs with identities, and what each of them has to do."""
