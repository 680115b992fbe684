"""From class activation maps to masks: background policies and dense CRF."""
