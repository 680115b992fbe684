"""From class activation maps to masks: background policies, dense CRF, and removal of small components."""
