"""Code that stages share. Stages import it; it imports no stage."""
