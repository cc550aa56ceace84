"""What the tables say: findings, a non-inferiority verdict, a recommendation, a regression verdict."""
