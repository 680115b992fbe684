"""From a validated pipeline to jobs with identities, and which of them have to run."""
