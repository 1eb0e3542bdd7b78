"""Fleet sweeps: many models on many devices, scheduled, survived, resumed."""
