DROP TABLE readiness_limits;
