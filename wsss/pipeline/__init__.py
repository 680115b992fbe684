"""The engine: pipeline files, identities, the run directory and execution. It does not depend on images.

Subpackages, from the bottom up; each imports only from those before it:

processes < store < config < plan < run

A pipeline is read top to bottom: `config` turns YAML files into a `Spec`, `plan` turns it into jobs with identities and
decides which of them run, `run` executes them. `wsss.pipeline.stage`, which all of them use, is below them.
"""
