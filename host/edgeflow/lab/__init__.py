"""The lab: virtual phones and boards on a Linux machine, for those with no hardware and for tests."""
