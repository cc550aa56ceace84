"""Conclusions from the tables: findings, non-inferiority, recommendation, regressions."""
