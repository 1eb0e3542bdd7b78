"""Configuration: YAML files in, validated specs out, errors with file and line."""
