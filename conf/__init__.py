"""Hydra configuration: one file per super-network, task, device, predictor, tactic, engine and experiment."""
